"""Many trainings that answer one question: the grids of Kim 2018 and the design of Kim 2019."""
