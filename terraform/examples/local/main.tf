# The charm from a file that make charm left, as long as it is not in the store.

terraform {
  required_version = ">= 1.6"
  required_providers {
    juju = {
      source = "juju/juju"
      # local_charm
      version = ">= 2.2.0"
    }
  }
}

variable "model_uuid" {
  description = "UUID of the model."
  type        = string
}

variable "virtual_ip" {
  description = "Address that is free in the machines' subnet."
  type        = string
}

resource "juju_application" "keepalived" {
  name       = "keepalived"
  model_uuid = var.model_uuid
  units      = 0

  local_charm {
    name = "keepalived"
    path = "${path.module}/../../../keepalived.charm"
    base = "ubuntu@24.04"
  }

  config = {
    virtual_ip = var.virtual_ip
    port       = "80"
  }
}

# haproxy is there already.
resource "juju_integration" "keepalived" {
  model_uuid = var.model_uuid

  application {
    name     = "haproxy"
    endpoint = "juju-info"
  }

  application {
    name     = juju_application.keepalived.name
    endpoint = "juju-info"
  }
}
