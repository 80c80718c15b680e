# The stack. This is a stand-in that needs no provider, so that the example runs without Google; beside
# it stands what it is there.
terraform {
  backend "local" {} # gcs
}

variable "project" {
  type = string
}

variable "tier" {
  type = string
}

# Of the first user, postgres. instance.py finds it in its environment.
variable "password" {
  type      = string
  sensitive = true
}

# The run has deleted the old one by then. Google's provider would find it gone and make it; the
# stand-in makes it because it is to be another one.
resource "terraform_data" "instance" { # google_sql_database_instance
  triggers_replace = [var.tier]
  input            = "${var.project}:europe-west1:main"

  provisioner "local-exec" {
    command = "python3 ${path.module}/instance.py ${var.project} europe-west1 main ${var.tier}"
  }
}
