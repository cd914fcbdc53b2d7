resource "juju_application" "keepalived" {
  name       = var.app_name
  model_uuid = var.model_uuid

  charm {
    name     = "keepalived"
    channel  = var.channel
    revision = var.revision
    base     = var.base
  }

  config      = var.config
  constraints = var.constraints

  # A subordinate: its units come with those of the application that it is integrated with.
  units = 0
}
