package models

// Application is an application.
type Application struct{}

// NewApplication makes an empty one.
func NewApplication() *Application { return &Application{} }

// GetAppId returns nothing.
func (*Application) GetAppId() *string { return nil }

// SetId sets nothing.
func (*Application) SetId(*string) {}

// SetDisplayName sets nothing.
func (*Application) SetDisplayName(*string) {}

// SetDescription sets nothing.
func (*Application) SetDescription(*string) {}

// SetAppRoles sets nothing.
func (*Application) SetAppRoles([]AppRoleable) {}

// AppRoleable is what an application may be allowed.
type AppRoleable interface{ SetIsEnabled(*bool) }

// AppRole is what an application may be allowed.
type AppRole struct{}

// NewAppRole makes an empty one.
func NewAppRole() *AppRole { return &AppRole{} }

// SetId sets nothing.
func (*AppRole) SetId(any) {}

// SetValue sets nothing.
func (*AppRole) SetValue(*string) {}

// SetAllowedMemberTypes sets nothing.
func (*AppRole) SetAllowedMemberTypes([]string) {}

// SetDisplayName sets nothing.
func (*AppRole) SetDisplayName(*string) {}

// SetDescription sets nothing.
func (*AppRole) SetDescription(*string) {}

// SetIsEnabled sets nothing.
func (*AppRole) SetIsEnabled(*bool) {}
