"""Pages of people's own affairs."""

from django.urls import path

from accounts.views import (
    oauth,
    organizations,
    passwords,
    second_factor,
    security,
    settings,
    signing,
    tokens,
)

urlpatterns = [
    path("signup", signing.sign_up_page),
    path("login", signing.log_in_page),
    path("login/two-factor", second_factor.two_factor_page),
    path("login/two-factor/options", second_factor.log_in_options),
    path("login/confirm", second_factor.confirm_page),
    path("login/confirm/options", second_factor.confirm_options),
    path("logout", signing.log_out),
    path("password-reset", passwords.reset_page),
    path("password-reset/sent", passwords.reset_sent_page),
    path("password-reset/<seg:uidb64>/<seg:token>", passwords.NewPasswordView.as_view()),
    path("settings", settings.profile_page),
    path("settings/account", settings.account_page),
    path("settings/security", security.security_page),
    path("settings/security/authenticator", security.authenticator_page),
    path("settings/security/authenticator/remove", security.remove_authenticator_page),
    path("settings/security/keys", security.key_page),
    path("settings/security/keys/options", security.key_options),
    path("settings/security/keys/<int:key_id>/remove", security.remove_key_page),
    path("settings/security/recovery-codes", security.recovery_codes_page),
    path("settings/security/off", security.turn_off_page),
    path("settings/activity", settings.activity_page),
    path("settings/tokens", tokens.tokens_page),
    path("settings/tokens/<int:token_id>/revoke", tokens.revoke_page),
    path("settings/tokens/<int:token_id>/rotate", tokens.rotate_page),
    path("settings/programs", oauth.programs_page),
    path("settings/programs/sessions/<int:session_id>/end", oauth.end_session),
    path("settings/programs/<seg:client_id>/delete", oauth.delete_client),
    path("oauth/verify", oauth.verify_page),
    path("oauth/authorize", oauth.authorize_page),
    path("settings/organizations", organizations.organizations_page),
    path("organizations/<seg:name>/settings", organizations.organization_page),
]
