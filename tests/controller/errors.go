package controller

import (
	"fmt"

	"keepalived-charm/tests/controller/wire"
)

// The error codes of Juju's API that agents tell apart.
const (
	codeNotFound            = "not found"
	codeUnauthorized        = "unauthorized access"
	codeStopped             = "stopped"
	codeClaimDenied         = "leadership claim denied"
	codeCannotEnterScope    = "cannot enter scope"
	codeCannotEnterScopeYet = "cannot enter scope yet"
	codeActionNotAvailable  = "action no longer available"
	codeNotImplemented      = "not implemented"
	codeNotLeader           = "not leader"
	codeNotValid            = "not valid"
	codeNoAddress           = "no address set"
	codeBadRequest          = "bad request"
)

type apiError = wire.Error

func notFound(kind, name string) *apiError {
	return &apiError{Message: fmt.Sprintf("%s %q not found", kind, name), Code: codeNotFound}
}

var errPermission = &apiError{Message: "permission denied", Code: codeUnauthorized}
