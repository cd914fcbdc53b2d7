module keepalived-charm

go 1.24.0

require (
	github.com/juju/charm/v12 v12.1.1
	github.com/juju/names/v5 v5.0.0
	github.com/stretchr/testify v1.11.1
	github.com/vishvananda/netlink v1.3.1
	gopkg.in/yaml.v3 v3.0.1
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/juju/clock v1.0.2 // indirect
	github.com/juju/errors v1.0.0 // indirect
	github.com/juju/loggo v1.0.0 // indirect
	github.com/juju/utils/v3 v3.1.0 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	golang.org/x/crypto v0.3.0 // indirect
	golang.org/x/net v0.7.0 // indirect
	gopkg.in/yaml.v2 v2.4.0 // indirect
)
