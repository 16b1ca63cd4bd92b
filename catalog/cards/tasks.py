"""Pipeline tags as the hub knows them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One task."""

    label: str
    group: str


_TABLE = {
    "Natural language": """text-generation text-classification token-classification
        question-answering table-question-answering zero-shot-classification translation
        summarization feature-extraction fill-mask sentence-similarity text-ranking
        text2text-generation""",
    "Multimodal": """image-text-to-text image-text-to-image image-text-to-video audio-text-to-text
        video-text-to-text visual-question-answering document-question-answering
        visual-document-retrieval any-to-any""",
    "Vision": """text-to-image image-to-text image-to-image image-to-video text-to-video
        unconditional-image-generation image-classification image-segmentation object-detection
        video-classification video-to-video zero-shot-image-classification
        zero-shot-object-detection depth-estimation mask-generation keypoint-detection
        image-feature-extraction text-to-3d image-to-3d""",
    "Audio": """text-to-speech text-to-audio automatic-speech-recognition audio-to-audio
        audio-classification voice-activity-detection""",
    "Other": """tabular-classification tabular-regression time-series-forecasting
        reinforcement-learning robotics graph-ml""",
}
_IRREGULAR = {"text2text-generation": "Text to text", "graph-ml": "Graph learning"}


def _label(task: str) -> str:
    text = _IRREGULAR.get(task) or task.replace("-to-", " to ").replace("-", " ")
    return text[:1].upper() + text[1:].replace(" 3d", " 3D")


TASKS: dict[str, Task] = {
    task: Task(_label(task), group) for group, words in _TABLE.items() for task in words.split()
}
"""Every task by its tag."""
