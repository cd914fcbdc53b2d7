// Command bare does nothing: what any Go program costs on this machine.
package main

func main() {}
