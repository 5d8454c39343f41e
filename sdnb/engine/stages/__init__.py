"""The stages of a run under a memory plan: prompts encoded, steps taken, latents decoded."""
