"""What a model looks at: windows, leads, waves and inputs without which it says something else."""

from pathlib import Path

EXPLANATIONS = Path("outputs/explanations")
"""Where explanations of tracked runs lie, each by its run's identity."""

PICTURES = {
    "saliency.png": "Importance over time and lead, averaged over beats, with the mean beat",
    "importance.png": "Loss of average precision without leads, waves and inputs",
    "agreement.png": "Share of the importance that lies where clinical criteria look",
}
"""Every picture that an explanation may have, and what it shows."""
