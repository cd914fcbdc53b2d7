module keepalived-charm

go 1.24.0
