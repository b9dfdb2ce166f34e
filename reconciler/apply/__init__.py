"""Carrying a plan out: layers in order (`plan`), one change at a time or independent ones side by side (`object`), how far each layer
is (`layers`), and whether a removal is over (`finished`)."""
