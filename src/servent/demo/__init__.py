"""The main job, shown on one machine: `make demo`. A face: it knows nodes only by their commands and API."""
