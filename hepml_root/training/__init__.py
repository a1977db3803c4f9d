"""Training: :func:`hepml_root.fit`, its schedules, checkpoints and history."""
