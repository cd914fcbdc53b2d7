// Package odataerrors has the error that Azure answers with.
package odataerrors

// ODataError is an answer that says no.
type ODataError struct{ Message string }

// Error returns the message.
func (e *ODataError) Error() string { return e.Message }

// GetErrorEscaped returns what was wrong.
func (e *ODataError) GetErrorEscaped() MainError { return MainError{e} }

// MainError is what was wrong.
type MainError struct{ of *ODataError }

// GetCode returns no code.
func (MainError) GetCode() *string { return new(string) }

// GetMessage returns the message.
func (e MainError) GetMessage() *string { return &e.of.Message }
