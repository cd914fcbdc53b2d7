module keepalived-charm/tests

go 1.24.0
