"""The playground's form: what a browser sends, with or without JavaScript."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from annotated_types import Ge, Gt, Le
from django import forms
from django.utils.translation import gettext_lazy as _

from inference.box.conversation import Asked, ChatMessage
from inference.services.params import (
    MAX_PROMPT_CHARS,
    PRESETS,
    AskedParams,
    InvalidParamsError,
    messages_of,
    read_biases,
    read_params,
)

CUSTOM = "custom"
_PRESETS = {preset.name: preset for preset in PRESETS}


def _number(name: str, label: Any, help_text: Any, *, step: float) -> forms.Field:
    """Return the input for one parameter; bounds and default are the parameter's own."""
    field = AskedParams.model_fields[name]
    lows: list[Any] = [bound.ge for bound in field.metadata if isinstance(bound, Ge)]
    lows += [bound.gt for bound in field.metadata if isinstance(bound, Gt)]
    highs = [bound.le for bound in field.metadata if isinstance(bound, Le)]
    limits: dict[str, Any] = {"min_value": lows[0], "max_value": highs[0]}
    kind = forms.IntegerField if field.annotation is int else forms.FloatField
    return kind(
        label=label,
        help_text=help_text,
        required=False,
        initial=field.default,
        widget=forms.NumberInput(attrs={"step": step, "inputmode": "decimal"}),
        **limits,
    )


def problem_of(form: forms.Form) -> InvalidParamsError:
    """Return what is wrong with an invalid form, as one refusal."""
    fields = {name: " ".join(map(str, errors)) for name, errors in form.errors.items()}
    told = "; ".join(f"{name}: {text}" for name, text in fields.items())
    return InvalidParamsError(f"Some values cannot be used. {told}", fields=fields)


class PlaygroundForm(forms.Form):
    """A prompt and how to go on from it."""

    prompt = forms.CharField(
        label=_("Prompt"),
        help_text=_("The model goes on from here; it does not answer questions unless trained to."),
        max_length=MAX_PROMPT_CHARS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
    )
    preset = forms.ChoiceField(
        label=_("Style"),
        choices=[
            *((preset.name, f"{preset.label}: {preset.help}") for preset in PRESETS),
            (CUSTOM, _("Custom: the values under Sampling")),
        ],
        required=False,
        initial=PRESETS[0].name,
    )
    max_new_tokens = _number(
        "max_new_tokens", _("Length"), _("Most tokens to write; a token is about ¾ word."), step=1
    )
    num_sequences = _number(
        "num_sequences", _("Texts"), _("How many different texts to write."), step=1
    )
    temperature = _number(
        "temperature",
        _("Temperature"),
        _("0 is always the likeliest word; more dares more."),
        step=0.05,
    )
    top_p = _number(
        "top_p",
        _("Top-p"),
        _("Choose among words that together are this likely; 1 is all."),
        step=0.01,
    )
    top_k = _number(
        "top_k", _("Top-k"), _("Choose among this many likeliest words; 0 is all."), step=1
    )
    repetition_penalty = _number(
        "repetition_penalty",
        _("Repetition penalty"),
        _("Above 1 avoids what is there already."),
        step=0.05,
    )
    frequency_penalty = _number(
        "frequency_penalty",
        _("Frequency penalty"),
        _("Above 0 avoids words the more often the text has them."),
        step=0.1,
    )
    presence_penalty = _number(
        "presence_penalty",
        _("Presence penalty"),
        _("Above 0 avoids words the text has already: new subjects."),
        step=0.1,
    )
    logit_bias = forms.CharField(
        label=_("Token bias"),
        help_text=_("A token's id, a colon, -100 (never) to 100 (always); one a line."),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "inputmode": "decimal"}),
    )
    num_beams = _number(
        "num_beams",
        _("Beams"),
        _("Above 1: draw nothing, weigh so many texts, show the likeliest at the end."),
        step=1,
    )
    length_penalty = _number(
        "length_penalty",
        _("Length of beams"),
        _("Above 0 favors long texts, below 0 short."),
        step=0.1,
    )
    early_stopping = forms.ChoiceField(
        label=_("End of beams"),
        help_text=_("How long to look for a better text; only with beams."),
        choices=[
            ("false", _("when a better one is unlikely")),
            ("true", _("as soon as there are enough")),
            ("never", _("when none can be better")),
        ],
        required=False,
        initial="false",
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        help_text=_("The same number gives the same text; empty draws one."),
        required=False,
        min_value=0,
        max_value=2**32 - 1,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    stop = forms.CharField(
        label=_("Stop at"),
        help_text=_(
            "End where one of these would come; one a line, four at most. \\n is a line's end."
        ),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    revision = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)
    weights = forms.CharField(
        label=_("File"),
        help_text=_("Which of the files with weights writes; smaller ones are less exact."),
        required=False,
        widget=forms.Select,
    )
    organization = forms.CharField(
        label=_("Charge to"),
        help_text=_("Whose tokens of the day this uses."),
        required=False,
        widget=forms.Select,
    )

    BEAMS = ("num_beams", "length_penalty", "early_stopping")
    PENALTIES = ("frequency_penalty", "presence_penalty", "logit_bias")
    DRAWING = ("temperature", "top_p", "top_k", "repetition_penalty", *PENALTIES)
    SAMPLING = (*DRAWING, *BEAMS, "seed", "stop")

    is_chat = False

    def offer_payers(self, organizations: Sequence[str]) -> bool:
        """Let the reader choose among themselves and organizations; whether there are any."""
        choices = [("", _("You")), *((name, name) for name in organizations)]
        self.fields["organization"].widget.choices = choices
        return bool(organizations)

    def offer_files(self, files: Mapping[str, str]) -> bool:
        """Let the reader choose among GGUF files, by path; whether there are any to choose."""
        choices = [("", _("The usual one")), *((path, path) for path in sorted(files))]
        self.fields["weights"].widget.choices = choices
        return bool(files)

    def clean_logit_bias(self) -> dict[int, float]:
        """Read the biases, by token id."""
        try:
            return read_biases(self.cleaned_data["logit_bias"])
        except InvalidParamsError as error:
            raise forms.ValidationError(error.message) from error

    def clean_prompt(self) -> str:
        """Undo what browsers do to line ends."""
        return str(self.cleaned_data["prompt"]).replace("\r\n", "\n")

    @classmethod
    def initial_of(cls, asked: Asked, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a form begins with to ask the same again, seed included."""
        return cls._values_of(params) | {"prompt": asked}

    @classmethod
    def _values_of(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        names = ("max_new_tokens", "num_sequences", *cls.SAMPLING)
        initial = {name: params[name] for name in names if name in params}
        if "early_stopping" in initial:
            initial["early_stopping"] = str(initial["early_stopping"]).lower()
        lines = [line.replace("\n", "\\n") for line in params.get("stop", ())]
        biases = [f"{token}: {bias:g}" for token, bias in params.get("logit_bias", {}).items()]
        written = {"stop": "\n".join(lines), "logit_bias": "\n".join(biases)}
        return initial | written | {"preset": CUSTOM}

    def asked(self) -> Asked:
        """Return what a valid form goes on from."""
        return str(self.cleaned_data["prompt"])

    def hidden_again(self) -> list[str]:
        """Return every field as a hidden one, to ask the same again by one button."""
        return [self[name].as_hidden(attrs={"id": f"again_{name}"}) for name in self.fields]

    def sampling_fields(self) -> list[forms.BoundField]:
        """Return what is folded away."""
        return [self[name] for name in self.SAMPLING]

    def params(self) -> AskedParams:
        """Return the parameters of a valid form. A preset goes before the single values.

        Raises:
            InvalidParamsError: they do not fit together.
        """
        data = self.cleaned_data
        names = ("max_new_tokens", "num_sequences", *self.SAMPLING)
        values = {name: data[name] for name in names if data[name] not in (None, "")}
        if "stop" in values:
            lines = values["stop"].replace("\r\n", "\n").split("\n")
            values["stop"] = [line.replace("\\n", "\n") for line in lines if line]
        is_custom = data["preset"] not in _PRESETS
        # what stands there for drawing does not count
        if is_custom and values.get("num_beams", 1) > 1:
            for name in ("temperature", "top_p", "top_k"):
                values.pop(name, None)
        return read_params(self._preset_before(values, data["preset"]))

    def _preset_before(self, values: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return ``values`` with those of a preset in their place, if ``name`` is one."""
        preset = _PRESETS.get(name)
        if preset is None:
            return dict(values)
        own = (*self.BEAMS, *self.PENALTIES)
        kept = {key: value for key, value in values.items() if key not in own}
        kept |= preset.values
        if preset.name == "exact":  # all texts would be the same
            kept["num_sequences"] = 1
        return kept

    def most_tokens(self) -> int | None:
        """Return the most tokens that asking so computes; ``None``: something has no such value."""
        names = ("max_new_tokens", "num_sequences", "num_beams")
        values = {name: self[name].value() or 1 for name in names}
        try:
            params = read_params(self._preset_before(values, self["preset"].value()))
        except InvalidParamsError:
            return None
        return params.most_computed_tokens

    def problem(self) -> InvalidParamsError:
        """Return what is wrong with an invalid form, for programs."""
        return problem_of(self)


class ChatForm(PlaygroundForm):
    """The next message of a conversation, what was said before, and how to answer."""

    is_chat = True
    prompt = None  # type: ignore[assignment]
    mode = forms.CharField(initial="chat", widget=forms.HiddenInput)
    history = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    system = forms.CharField(
        label=_("Instructions"),
        help_text=_("How the model should behave in the whole conversation."),
        max_length=MAX_PROMPT_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    message = forms.CharField(
        label=_("Your message"),
        max_length=MAX_PROMPT_CHARS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    @classmethod
    def initial_of(cls, asked: Asked, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a form begins with to say the same again, seed included."""
        if isinstance(asked, str):
            return cls._values_of(params) | {"mode": "chat", "message": asked}
        turns, system = list(asked), ""
        if turns[0].role == "system":
            system = turns.pop(0).content
        message = turns.pop().content if turns else ""
        return cls._values_of(params) | {
            "mode": "chat",
            "system": system,
            "history": cls.history_of(turns),
            "message": message,
        }

    def hidden_reply(self) -> list[str]:
        """Return every field but the message as a hidden one."""
        return [
            field
            for name, field in zip(self.fields, self.hidden_again(), strict=True)
            if name != "message"
        ]

    @classmethod
    def reply_to(
        cls, asked: Sequence[ChatMessage], answer: str, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what a form begins with to go on with a conversation, with another seed."""
        initial = cls.initial_of(asked, params)
        said = ChatMessage(role="user", content=initial["message"])
        answered = ChatMessage(role="assistant", content=answer)
        before = messages_of(json.loads(initial["history"]))
        history = cls.history_of([*before, said, answered])
        return initial | {"history": history, "message": "", "seed": None}

    @staticmethod
    def history_of(turns: Sequence[ChatMessage]) -> str:
        """Return what was said before as the form carries it."""
        return json.dumps([turn.model_dump() for turn in turns], ensure_ascii=False)

    def clean_history(self) -> list[ChatMessage]:
        """Read what was said before."""
        try:
            return messages_of(json.loads(self.cleaned_data["history"] or "[]"))
        except (ValueError, InvalidParamsError) as error:
            raise forms.ValidationError(_("What was said before cannot be read.")) from error

    def turns(self) -> list[ChatMessage]:
        """Return what was said before, for the page; nothing where it cannot be read."""
        try:
            return messages_of(json.loads(self["history"].value() or "[]"))
        except (ValueError, TypeError, InvalidParamsError):
            return []

    def asked(self) -> Asked:
        """Return the whole conversation of a valid form."""
        data = self.cleaned_data
        said = {name: data[name].replace("\r\n", "\n") for name in ("system", "message")}
        first = [ChatMessage(role="system", content=said["system"])] if said["system"] else []
        last = ChatMessage(role="user", content=said["message"])
        return [*first, *data["history"], last]
