class SignIn:
    def app_description(self, config):
        return {"name": "example", "version": "2"}
