"""The Run panel: settings as a form, a run as a process of its own, and how far it is."""
