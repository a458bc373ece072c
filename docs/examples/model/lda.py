from dataclasses import dataclass

import lvh


@dataclass(frozen=True)
class Lda:
    shrinkage: float = 0.3  # of the covariance


@lvh.register_model("lda", settings=Lda)
def lda(settings):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    analysis = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=settings.shrinkage)
    return make_pipeline(StandardScaler(), analysis)
