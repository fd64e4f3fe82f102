"""The `bamboohr` connector: what BambooHR stores about an employee, with the ids and parameters that diagrams use."""
