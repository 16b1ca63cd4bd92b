"""What django-allauth's second factors need to know of this store."""

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter

from accounts.models import User
from store.core.sealing import seal, unseal

PURPOSE = "accounts.two_factor"


class SealingAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # it has no types
    """Keeps secrets sealed, and names people and the site as everywhere else."""

    def encrypt(self, text: str) -> str:
        """Seal the secret of an authenticator or the seed of recovery codes."""
        return seal(text, purpose=PURPOSE)

    def decrypt(self, encrypted_text: str) -> str:
        """Open what ``encrypt`` sealed."""
        return unseal(encrypted_text, purpose=PURPOSE)

    def get_totp_label(self, user: User) -> str:
        """Return what an authenticator lists the account by: no e-mail address in a picture."""
        return user.username

    def get_public_key_credential_user_entity(self, user: User) -> dict[str, object]:
        """Return who a security key is for; the id is neither guessable nor personal."""
        return {
            "id": user.public_id.encode(),
            "display_name": user.display_name,
            "name": user.username,
        }

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the site a key is bound to: the host the browser shows, whatever its port."""
        host: str = context.request.get_host()
        return {"id": host.partition(":")[0], "name": self.get_totp_issuer()}
