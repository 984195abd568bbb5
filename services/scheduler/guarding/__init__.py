"""What holds journeys back: switches that people throw, guards that stop a journey by itself, the ramp after an outage."""
