project = "webmev"
tier    = "db-custom-2-7680"
