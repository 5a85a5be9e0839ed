"""Names and taxa: backbones, resolution, vernacular names."""
