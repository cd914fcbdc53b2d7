# haproxy on three machines behind one virtual IP.

terraform {
  required_version = ">= 1.6"
  required_providers {
    juju = {
      source  = "juju/juju"
      version = ">= 1.0.0"
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

resource "juju_application" "haproxy" {
  name       = "haproxy"
  model_uuid = var.model_uuid
  units      = 3

  charm {
    name = "haproxy"
    base = "ubuntu@22.04"
  }
}

module "keepalived" {
  source     = "../.."
  model_uuid = var.model_uuid

  config = {
    virtual_ip = var.virtual_ip
    port       = "80"
  }
}

resource "juju_integration" "keepalived" {
  model_uuid = var.model_uuid

  application {
    name     = juju_application.haproxy.name
    endpoint = "juju-info"
  }

  application {
    name     = module.keepalived.app_name
    endpoint = module.keepalived.requires.juju_info.endpoint
  }
}
