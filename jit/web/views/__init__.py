"""The pages' views, one module a subject: each translates and makes one call into the domain."""
