// Juju is Juju's own client, as far as package client has its commands. JUJU_DATA names
// the client store.
package main

import (
	"os"

	"keepalived-charm/tests/juju/client"
)

func main() { os.Exit(client.Main(os.Args[1:])) }
