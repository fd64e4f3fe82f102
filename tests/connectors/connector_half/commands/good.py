class Good:
    def execute(self, config, task_data):
        return {"response": "good", "status": 200, "mimetype": "text/plain"}
