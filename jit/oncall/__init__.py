"""Who is on call for what: asked of the systems that know it, never decided here."""
