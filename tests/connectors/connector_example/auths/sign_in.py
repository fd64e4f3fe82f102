class SignIn:
    def app_description(self, config):
        return {
            "name": "example",
            "version": "2",
            "client_id": config["EXAMPLE_CLIENT_ID"],
            "client_secret": config.get("EXAMPLE_CLIENT_SECRET"),
            "authorization_url": config["EXAMPLE_PROVIDER_URL"] + "/authorize?tenant=ours",
            "access_token_url": config.get("EXAMPLE_TOKEN_URL", config["EXAMPLE_PROVIDER_URL"] + "/token"),
            "scope": "read write",
        }
