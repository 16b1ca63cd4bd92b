"""Base models that everybody builds on, by the beginning of their name, and their licenses.

Most lineages end at a model that is not in this store. Its name is then all there is to go by.
Names are kept as narrow as the license of a family needs: makers change terms between releases.
Source of each row: the license field and file of the model's own page on the hub, read in 2026.
"""

from dataclasses import dataclass

HUB_URL = "https://huggingface.co/"


@dataclass(frozen=True, slots=True)
class WellKnown:
    """A family of base models."""

    prefix: str
    """In lower case. Without a slash it is a whole name of one segment, as ``gpt2``."""
    license_id: str
    page: str
    """The page that says so, below the hub's address."""

    @property
    def source_url(self) -> str:
        """Where its maker says so."""
        return HUB_URL + self.page


_ROWS = """
meta-llama/llama-2-                      llama2        meta-llama/Llama-2-7b-hf
meta-llama/codellama-                    llama2        meta-llama/CodeLlama-7b-hf
codellama/                               llama2        codellama/CodeLlama-7b-hf
meta-llama/meta-llama-3-                 llama3        meta-llama/Meta-Llama-3-8B
meta-llama/meta-llama-3.1-               llama3.1      meta-llama/Llama-3.1-8B
meta-llama/llama-3.1-                    llama3.1      meta-llama/Llama-3.1-8B
meta-llama/llama-3.2-                    llama3.2      meta-llama/Llama-3.2-1B
meta-llama/llama-3.3-                    llama3.3      meta-llama/Llama-3.3-70B-Instruct
meta-llama/llama-4-                      llama4        meta-llama/Llama-4-Scout-17B-16E
huggyllama/llama-                        llama1        huggyllama/llama-7b
facebook/opt-                            opt           facebook/opt-125m
facebook/galactica-                      cc-by-nc-4.0  facebook/galactica-125m
google/gemma-2b                          gemma         google/gemma-2b
google/gemma-7b                          gemma         google/gemma-7b
google/gemma-1.1-                        gemma         google/gemma-1.1-2b-it
google/gemma-2-                          gemma         google/gemma-2-2b
google/gemma-3-                          gemma         google/gemma-3-1b-pt
google/gemma-3n-                         gemma         google/gemma-3n-E2B-it
google/gemma-4-                          apache-2.0    google/gemma-4-E2B-it
google/codegemma-                        gemma         google/codegemma-2b
mistralai/mistral-7b-                    apache-2.0    mistralai/Mistral-7B-v0.1
mistralai/mixtral-                       apache-2.0    mistralai/Mixtral-8x7B-v0.1
mistralai/mistral-nemo-                  apache-2.0    mistralai/Mistral-Nemo-Base-2407
mistralai/mistral-small-24b-             apache-2.0    mistralai/Mistral-Small-24B-Base-2501
mistralai/mistral-small-3.1-             apache-2.0    mistralai/Mistral-Small-3.1-24B-Base-2503
mistralai/mistral-small-3.2-             apache-2.0    mistralai/Mistral-Small-3.2-24B-Instruct-2506
mistralai/ministral-3-                   apache-2.0    mistralai/Ministral-3-3B-Instruct-2512
mistralai/ministral-8b-instruct-2410     mrl           mistralai/Ministral-8B-Instruct-2410
mistralai/mistral-small-instruct-2409    mrl           mistralai/Mistral-Small-Instruct-2409
mistralai/mistral-large-instruct-24      mrl           mistralai/Mistral-Large-Instruct-2411
mistralai/codestral-22b-                 mnpl          mistralai/Codestral-22B-v0.1
qwen/qwen3-                              apache-2.0    Qwen/Qwen3-0.6B
qwen/qwen2.5-0.5b                        apache-2.0    Qwen/Qwen2.5-0.5B
qwen/qwen2.5-1.5b                        apache-2.0    Qwen/Qwen2.5-1.5B
qwen/qwen2.5-7b                          apache-2.0    Qwen/Qwen2.5-7B
qwen/qwen2.5-14b                         apache-2.0    Qwen/Qwen2.5-14B
qwen/qwen2.5-32b                         apache-2.0    Qwen/Qwen2.5-32B
qwen/qwen2.5-coder-0.5b                  apache-2.0    Qwen/Qwen2.5-Coder-0.5B
qwen/qwen2.5-coder-1.5b                  apache-2.0    Qwen/Qwen2.5-Coder-1.5B
qwen/qwen2.5-coder-7b                    apache-2.0    Qwen/Qwen2.5-Coder-7B
qwen/qwen2.5-coder-14b                   apache-2.0    Qwen/Qwen2.5-Coder-14B
qwen/qwen2.5-coder-32b                   apache-2.0    Qwen/Qwen2.5-Coder-32B
qwen/qwen2.5-3b                          qwen-research Qwen/Qwen2.5-3B
qwen/qwen2.5-coder-3b                    qwen-research Qwen/Qwen2.5-Coder-3B
qwen/qwen2.5-vl-3b                       qwen-research Qwen/Qwen2.5-VL-3B-Instruct
qwen/qwen2.5-72b                         qwen          Qwen/Qwen2.5-72B
qwen/qwen2.5-math-72b                    qwen          Qwen/Qwen2.5-Math-72B
qwen/qwen2.5-vl-72b                      qwen          Qwen/Qwen2.5-VL-72B-Instruct
qwen/qwen2-0.5b                          apache-2.0    Qwen/Qwen2-0.5B
qwen/qwen2-1.5b                          apache-2.0    Qwen/Qwen2-1.5B
qwen/qwen2-7b                            apache-2.0    Qwen/Qwen2-7B
qwen/qwen2-72b                           tongyi-qianwen Qwen/Qwen2-72B
qwen/qwq-32b                             apache-2.0    Qwen/QwQ-32B
openai-community/gpt2                    mit           openai-community/gpt2
gpt2                                     mit           openai-community/gpt2
gpt2-medium                              mit           openai-community/gpt2-medium
gpt2-large                               mit           openai-community/gpt2-large
gpt2-xl                                  mit           openai-community/gpt2-xl
distilbert/distilgpt2                    apache-2.0    distilbert/distilgpt2
distilgpt2                               apache-2.0    distilbert/distilgpt2
openai/gpt-oss-                          apache-2.0    openai/gpt-oss-20b
eleutherai/gpt-neo-                      mit           EleutherAI/gpt-neo-125m
eleutherai/gpt-j-                        apache-2.0    EleutherAI/gpt-j-6b
eleutherai/gpt-neox-                     apache-2.0    EleutherAI/gpt-neox-20b
eleutherai/pythia-                       apache-2.0    EleutherAI/pythia-160m
bigscience/bloom                         bigscience-bloom-rail-1.0 bigscience/bloom
bigcode/starcoder                        bigcode-openrail-m bigcode/starcoder
bigcode/tiny_starcoder_py                bigcode-openrail-m bigcode/tiny_starcoder_py
huggingfacetb/smollm                     apache-2.0    HuggingFaceTB/SmolLM2-135M
tinyllama/tinyllama-1.1b-                apache-2.0    TinyLlama/TinyLlama-1.1B-Chat-v1.0
roneneldan/tinystories-33m               mit           roneneldan/TinyStories-33M
microsoft/phi-2                          mit           microsoft/phi-2
microsoft/phi-3-                         mit           microsoft/Phi-3-mini-4k-instruct
microsoft/phi-3.5-                       mit           microsoft/Phi-3.5-mini-instruct
microsoft/phi-4                          mit           microsoft/phi-4
allenai/olmo-                            apache-2.0    allenai/OLMo-1B-hf
tiiuae/falcon-7b                         apache-2.0    tiiuae/falcon-7b
tiiuae/falcon-40b                        apache-2.0    tiiuae/falcon-40b
mosaicml/mpt-7b-chat                     cc-by-nc-sa-4.0 mosaicml/mpt-7b-chat
cerebras/cerebras-gpt-                   apache-2.0    cerebras/Cerebras-GPT-111M
databricks/dolly-v2-                     mit           databricks/dolly-v2-3b
stabilityai/stablelm-base-alpha-         cc-by-sa-4.0  stabilityai/stablelm-base-alpha-3b
stabilityai/stablelm-3b-4e1t             cc-by-sa-4.0  stabilityai/stablelm-3b-4e1t
coherelabs/c4ai-command-r                cc-by-nc-4.0  CohereLabs/c4ai-command-r-v01
coherelabs/aya-                          cc-by-nc-4.0  CohereLabs/aya-expanse-8b
coherelabs/aya-101                       apache-2.0    CohereLabs/aya-101
cohereforai/c4ai-command-r               cc-by-nc-4.0  CohereLabs/c4ai-command-r-v01
deepseek-ai/deepseek-llm-                deepseek      deepseek-ai/deepseek-llm-7b-base
deepseek-ai/deepseek-coder-              deepseek      deepseek-ai/deepseek-coder-1.3b-base
deepseek-ai/deepseek-r1                  mit           deepseek-ai/DeepSeek-R1
deepseek-ai/deepseek-r1-distill-llama-8b llama3.1      deepseek-ai/DeepSeek-R1-Distill-Llama-8B
deepseek-ai/deepseek-r1-distill-llama-70b llama3.3     deepseek-ai/DeepSeek-R1-Distill-Llama-70B
moonshotai/kimi-k2-                      modified-mit  moonshotai/Kimi-K2-Instruct
ibm-granite/granite-                     apache-2.0    ibm-granite/granite-3.0-2b-base
xai-org/grok-1                           apache-2.0    xai-org/grok-1
xai-org/grok-2                           grok2-community xai-org/grok-2
"""
WELL_KNOWN = tuple(WellKnown(*row.split()) for row in _ROWS.strip().splitlines())
_LONGEST_FIRST = sorted(WELL_KNOWN, key=lambda row: -len(row.prefix))


def well_known(name: str) -> WellKnown | None:
    """Return the family a model's name says it is of; the most exact one wins.

    Args:
        name: As a card writes it: ``namespace/name``, or one segment. Case does not matter.
    """
    name = name.strip().lower()
    for row in _LONGEST_FIRST:
        if name.startswith(row.prefix) if "/" in row.prefix else name == row.prefix:
            return row
    return None
