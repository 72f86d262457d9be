"""Those who sign in: how they prove who they are, and how they want to see pages."""
