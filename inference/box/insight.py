"""Looks into a model while it computes: attention, gradients, states between layers.

Works with every causal model of transformers whose layers stand in one list, ends with a norm and
a head, and (for attention) knows the plain implementation. Others are refused as unsupported.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from inference.box.cohort import last_only, takes
from inference.box.loading import LoadedModel, RefusedError

if TYPE_CHECKING:
    from inference.box.pauses import Pauses

_SAME = 1e-3
"""The lens must end where the model ends: largest difference of scores, relative to theirs."""


def _unsupported(what: str) -> RefusedError:
    return RefusedError("unsupported", f"Models of this architecture {what}.")


class Insight:
    """A model, as far as explanations look into it.

    Attributes:
        layers: Its layers, in order; empty where they are not found.
        heads: Attention heads of a layer; 0 where there is no attention.
    """

    def __init__(self, loaded: LoadedModel, pauses: "Pauses") -> None:
        self._loaded = loaded
        self._pauses = pauses
        self.layers = _layers_of(loaded.model)
        config = loaded.model.config.get_text_config()
        found = getattr(config, "num_attention_heads", 0) if self._attentions() else 0
        self.heads = found if isinstance(found, int) else 0

    def _attentions(self) -> dict[int, Any]:
        """Return the attention module of each layer."""
        found: dict[int, Any] = {}
        for number, layer in enumerate(self.layers):
            for module in layer.modules():
                if type(module).__name__.endswith("Attention") and number not in found:
                    found[number] = module
        return found

    @contextmanager
    def _hooked(self, *hooks: tuple[Any, Callable[..., Any]]) -> Iterator[None]:
        handles = [module.register_forward_hook(self._pauses.mine(hook)) for module, hook in hooks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def attention(self, ids: torch.Tensor, layer: int, head: int | str) -> torch.Tensor:
        """Return the attention weights of one layer, float32, shape ``(tokens, tokens)``.

        Args:
            ids: Shape ``(1, tokens)``.
            layer: From 0.
            head: From 0; ``mean`` or ``max`` over all heads.

        Raises:
            RefusedError: there is no such layer or head, or the model tells no weights.
        """
        module = self._attentions().get(layer)
        if module is None or (isinstance(head, int) and head >= self.heads):
            if not self.heads:
                raise _unsupported("have no attention that can be shown")
            raise RefusedError("no_such_layer", f"There is no layer {layer} with a head {head}.")
        seen: list[torch.Tensor] = []

        def keep(_: Any, __: Any, output: Any) -> None:
            weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if isinstance(weights, torch.Tensor) and weights.dim() == 4:
                seen.append(_of_head(weights[0], head).float())

        with torch.inference_mode(), self._eager(), self._hooked((module, keep)):
            self._run(input_ids=ids)
        if not seen or seen[0].shape != (ids.shape[1], ids.shape[1]):
            raise _unsupported("do not tell their attention")
        if not seen[0].isfinite().all():
            raise RefusedError("not_finite", "The attention of this model is not numbers.")
        return seen[0]

    @contextmanager
    def _eager(self) -> Iterator[None]:
        """Let the model compute attention plainly: only so it tells the weights.

        While the work pauses, others compute as always.
        """
        model = self._loaded.model
        usual = model.config._attn_implementation  # noqa: SLF001 - the only way to ask

        def set_to(name: str) -> None:
            model.set_attn_implementation(name)

        self._pauses.when_away = lambda: set_to(usual)
        self._pauses.when_back = lambda: set_to("eager")
        try:
            set_to("eager")
            yield
        finally:
            self._pauses.when_away = self._pauses.when_back = None
            set_to(usual)

    def _run(self, **inputs: Any) -> Any:
        return self._loaded.model(**inputs, use_cache=False, **last_only(self._loaded))

    def gradient_x_input(self, ids: torch.Tensor, token_id: int) -> tuple[float, torch.Tensor]:
        """Return the score of a next token, and gradient x embedding of each token before it.

        Args:
            ids: Tokens before it, shape ``(1, tokens)``.
            token_id: The token.

        Returns:
            (logit, float32 of shape ``(tokens, width)``).
        """
        if not takes(self._loaded, "inputs_embeds"):
            raise _unsupported("take no embeddings, so nothing can be traced back to them")
        model = self._loaded.model
        model.requires_grad_(False)  # only the input's gradient is wanted

        def pause_in_backward(_: Any, __: Any, output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            if states.requires_grad:
                states.register_hook(self._pauses.pause)

        with torch.enable_grad(), self._hooked(*[(x, pause_in_backward) for x in self.layers]):
            embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
            logit = self._run(inputs_embeds=embedded).logits[0, -1, token_id]
            (gradient,) = torch.autograd.grad(logit, embedded)
        return float(logit.detach()), (gradient * embedded.detach())[0].float()

    def lens(self, ids: torch.Tensor) -> list[torch.Tensor]:
        """Return the scores of the next token after each layer, the embeddings first.

        Final norm and head are applied to each state; what a model does with scores after its
        head (soft caps) it must not do, or the last layer would not equal its real prediction.

        Args:
            ids: Shape ``(1, tokens)``.

        Returns:
            For each layer and once before, float32 of shape ``(vocabulary,)``.

        Raises:
            RefusedError: norm or head are not found, or the last layer does not equal the model.
        """
        norm, head = _final_norm(self._loaded.model), self._loaded.model.get_output_embeddings()
        if norm is None or head is None or not self.layers:
            raise _unsupported("have no final norm and head that fit each layer")
        states: list[torch.Tensor] = []

        def begin(_: Any, inputs: tuple[Any, ...]) -> None:
            states.append(inputs[0][0, -1:].clone())

        def keep(_: Any, __: Any, output: Any) -> None:
            states.append((output[0] if isinstance(output, tuple) else output)[0, -1:].clone())

        handle = self.layers[0].register_forward_pre_hook(self._pauses.mine(begin))
        try:
            with torch.inference_mode(), self._hooked(*[(layer, keep) for layer in self.layers]):
                real = self._run(input_ids=ids).logits[0, -1].float()
        finally:
            handle.remove()
        if not real.isfinite().all():
            raise RefusedError("not_finite", "The model's scores are not numbers.")
        with torch.inference_mode():
            found = [head(norm(state))[0].float() for state in states]
        if len(found) != len(self.layers) + 1 or not _is_same(found[-1], real):
            raise _unsupported("change their scores after the head; a lens would not end in them")
        return [*found[:-1], real]


def _is_same(found: torch.Tensor, real: torch.Tensor) -> bool:
    return bool((found - real).abs().max() <= _SAME * real.abs().max().clamp(min=1.0))


def _of_head(weights: torch.Tensor, head: int | str) -> torch.Tensor:
    """Return one head of ``(heads, tokens, tokens)``, or all of them taken together."""
    if isinstance(head, int):
        return weights[head].clone()
    return weights.mean(dim=0) if head == "mean" else weights.amax(dim=0)


def _layers_of(model: Any) -> list[Any]:
    """Return the modules of the longest list of modules of one kind: the layers."""
    lists = [each for each in model.modules() if isinstance(each, torch.nn.ModuleList)]
    config = model.config.get_text_config()
    count = getattr(config, "num_hidden_layers", None)
    fitting = [each for each in lists if len(each) == count]
    return list(fitting[0]) if fitting else []


def _final_norm(model: Any) -> Any:
    """Return the norm after the last layer: the one norm beside the list of layers."""
    for module in model.modules():
        children = dict(module.named_children())
        if any(isinstance(child, torch.nn.ModuleList) for child in children.values()):
            norms = [
                child
                for name, child in children.items()
                if "norm" in type(child).__name__.lower() and "embed" not in name
            ]
            return norms[-1] if norms else None
    return None
