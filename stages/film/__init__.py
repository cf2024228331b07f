"""Made films: a photograph's face moved by known amounts."""
