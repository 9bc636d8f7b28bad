"""Which model is made where and when: devices, processes, machines."""
