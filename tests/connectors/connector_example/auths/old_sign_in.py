class OldSignIn:
    # of OAuth 1

    def app_description(self, config):
        return {
            "name": "old",
            "version": "1.0a",
            "client_id": "our client",
            "client_secret": "s3cret",
            "request_token_url": "https://provider.example/request",
            "authorization_url": "https://provider.example/authorize",
            "access_token_url": "https://provider.example/token",
        }
