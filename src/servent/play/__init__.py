"""Real-time sessions straight between players: everybody simulates, only inputs travel."""
