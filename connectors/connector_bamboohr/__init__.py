"""The `bamboohr` connector: what BambooHR keeps of an employee, with the ids and parameters that diagrams use."""
