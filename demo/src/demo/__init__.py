"""The main job: real purchases replayed through the running platform, and a report that is checked."""
