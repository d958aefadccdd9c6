"""Score: how far each thing about a sample can be trusted, out of predictors that never saw it, its concept, its text and its neighbours.

`predictor: network` trains small networks on the pixels, fold by fold; `predictor: probe` fits linear probes on the embeddings and reads
no image, which is the mode for a strong pretrained encoder. Rows of the test split get scores and shape nothing. Without a given concept
there is no label to be wrong: label_score is 1, given_probability null, and the detectors judge the suggested concept.

What a person confirmed or corrected is learnt as known; the row's own scores stay the machine's, so that the two can be compared. A drop
doesn't say what the picture shows: it is for `curate` alone.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.contracts.scores import CONTRACT
from tasks.core.concepts import Concept, load_concepts
from tasks.core.files import scratch_folder
from tasks.core.params import SharedParams
from tasks.core.progress import track
from tasks.core.settings import Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Sink, Source
from tasks.methods.alignment import wide_rows
from tasks.methods.calibration import Bins, Witness, calibrated, standard_errors
from tasks.methods.detectors import Graph, detect
from tasks.methods.fusion import FusionSettings
from tasks.methods.learned_calibration import judged_right, learned_chances, of_shaping
from tasks.methods.networks import NetworkSettings
from tasks.methods.outliers import ranks
from tasks.methods.posterior import NO_SENSES, Beliefs
from tasks.methods.rounds import first_targets, network_rounds, probe_rounds
from tasks.methods.senses import Rivals, Senses, other_senses
from tasks.methods.suggestions import suggestions, text_scores, word_fit
from tasks.methods.text_evidence import Texts, read_texts, text_ratio, text_votes, word_targets
from tasks.score_params import ScoreParams
from tasks.score_rows import Rows, named_words, read_pixels, read_rivals, read_rows

ROW_BYTES = 1200  # ids, keys, texts and words of a sample, as Python and Arrow hold them, and its scores
BELIEF_ARRAYS = 20  # float64, n x n_states at once
WORD_BYTES = 20  # of a sample and a word: three float32 that networks learn of and give, a float64 of their mean
log = logging.getLogger(__name__)


def score(
    images: Artifact,
    records: Source,
    embeddings: Source,
    neighbors: Source,
    prototypes: Source,
    matches: Source,
    duplicates: Source,
    reviews: Source,
    concepts: Artifact,
    scores: Sink,
    params: ScoreParams,
    shared: SharedParams,
    settings: Settings,
) -> Metrics:
    """Scores of every indexed sample."""
    known = load_concepts(concepts.path)
    check_memory(neighbors, known, params, settings)
    names = [concept.name for concept in known]
    with scratch_folder(scores.root) as folder:
        rows = read_rows(records, embeddings, neighbors, matches, duplicates, reviews, names, folder, params.n_neighbors)
        rivals = read_rivals(prototypes, embeddings, rows, known, folder)
        senses = find_senses(rows, known, rivals, params)
        texts = bags_of_words(rows, known, senses.concepts, params)
        check_memory(neighbors, known, params, settings, len(texts.vocabulary))
        beliefs, text_log_ratio = judge(rows, texts, senses, images, params, shared, settings, folder)
        table, measured = score_table(rows, names, beliefs, texts, senses.concepts, text_log_ratio, params, shared.seed)
    scores.write_whole(wide_rows(table))
    log.info("score: %d samples by %s, %.3f of them off-topic", len(rows.samples.given), params.predictor, measured["off_topic_share"])
    log.info("score: learnt from people about %d samples", int((rows.reviewed >= 0).sum()))
    return measured | {"rows": len(rows.samples.given), "words": len(texts.vocabulary)} | sense_figures(senses, rivals, names)


def check_memory(neighbors: Source, known: list[Concept], params: ScoreParams, settings: Settings, n_words: int = 0) -> None:
    """Raise MemoryCeilingError if what is held doesn't fit under the ceiling (`held_bytes`); `n_words` once they are read."""
    n, n_states = neighbors.n_rows(), len(known) + sum(bool(concept.distractors) for concept in known) + 1
    way_out = "score fewer crawls" + (", or use score.predictor: probe with a pretrained encoder" if params.predictor == "network" else "")
    what = f"scoring {n} samples against {n_states} states by {params.predictor}"
    settings.require_memory(held_bytes(n, n_states, n_words, params), what, way_out)


def held_bytes(n: int, n_states: int, n_words: int, params: ScoreParams) -> int:
    """Bytes that are held of n samples at once; embeddings, neighbour lists and pixels are none of them, for they lie in files.

    The EM holds the beliefs before and after a step, each by four signals, and what it computes them of. Of fold networks the features of
    all rounds are held, and what they learn and say of each distinct word. Texts are counted with the ids: most are short.
    """
    by_network = 4 * params.network.widths[-1] * len(params.network.epochs) + WORD_BYTES * n_words
    return n * (ROW_BYTES + BELIEF_ARRAYS * 8 * n_states + (by_network if params.predictor == "network" else 0))


def find_senses(rows: Rows, known: list[Concept], rivals: Rivals | None, params: ScoreParams) -> Senses:
    """Which words have another sense here, by what probes, concepts and texts believe that know nothing of senses."""
    if rivals is None:
        return Senses(NO_SENSES, np.full(len(rows.keys), np.nan), np.zeros(0))
    s = rows.samples
    texts, fusion = bags_of_words(rows, known, NO_SENSES, params), replace(fusion_settings(params), n_rounds=1)
    targets = first_targets(s.given, rows.matched, rows.reviewed)
    beliefs = probe_rounds(s.embeddings, targets, s.folds, s.given, texts, s.weights, s.groups, fusion=fusion, reviewed=rows.reviewed)
    told = {"min_agreement": params.senses.min_agreement, "confidence": params.senses.confidence}
    senses = other_senses(s.embeddings, s.given, beliefs.posterior.argmax(1), s.weights, rivals, **told)
    for concept in senses.concepts.tolist():
        share = float(np.nanmean(senses.chances[s.given == concept]))
        log.info("score: '%s' has another sense here, in about %.2f of its images", known[concept].name, share)
    return senses


def sense_figures(senses: Senses, rivals: Rivals | None, names: list[str]) -> Metrics:
    """How far pictures and texts agree about each concept's distractor on which they agree best, None with too few texts."""
    agreement: dict[str, float | None] = {}
    owners = NO_SENSES if rivals is None else rivals.owners
    for concept in np.unique(owners).tolist():
        found = senses.agreement[owners == concept]
        agreement[names[concept]] = None if np.isnan(found).all() else round(float(np.nanmax(found)), 6)
    return {"other_senses": [names[concept] for concept in senses.concepts], "sense_agreement": agreement}


def bags_of_words(rows: Rows, known: list[Concept], senses: np.ndarray, params: ScoreParams) -> Texts:
    """The texts as evidence for concepts, other senses of the words of `senses` (S,), and none of them."""
    named, counts = named_words(known, senses), {"min_count": params.min_word_count, "start_count": params.concept_word_count}
    return read_texts(rows.alt_texts, rows.samples.weights, named, **counts)


def fusion_settings(params: ScoreParams) -> FusionSettings:
    """The EM and its probes."""
    f = params.fusion
    return FusionSettings(f.rounds, f.steps, f.transition_strength, f.smoothing, f.first_empty_share, f.l2, f.probe_steps, f.subfolds)


def judge(
    rows: Rows,
    texts: Texts,
    senses: Senses,
    images: Artifact,
    params: ScoreParams,
    shared: SharedParams,
    settings: Settings,
    folder: Path,
) -> tuple[Beliefs, np.ndarray]:
    """(beliefs, log ratio (n,) of how well each text fits its image) by the predictor that params name."""
    targets = first_targets(rows.samples.given, rows.matched, rows.reviewed, senses)
    p, fusion = params.network, fusion_settings(params)
    common = (rows.samples.folds, rows.samples.given, texts, rows.samples.weights, rows.samples.groups)
    if params.predictor == "probe":
        beliefs = probe_rounds(rows.samples.embeddings, targets, *common, fusion=fusion, reviewed=rows.reviewed, senses=senses.concepts)
        fit = np.log((beliefs.image * text_ratio(texts, beliefs.words, beliefs.prior)).sum(1))
        rank = np.clip(ranks(np.nan_to_num(rows.text_similarity), ~np.isnan(rows.text_similarity) & (rows.samples.weights > 0)), 0.01, 0.99)
        return beliefs, fit + np.where(np.isnan(rows.text_similarity), 0.0, np.log(rank / (1 - rank)))
    device = settings.torch_device()
    shape = (tuple(p.widths), p.batch_size, p.learning_rate, p.weight_decay, p.word_weight, p.max_shift, p.precision, p.n_threads)
    networks = [NetworkSettings(epochs, *shape, device) for epochs in p.epochs]
    words = word_targets(texts, rows.samples.weights)
    n_epochs = int(rows.samples.folds.max() + 1) * sum(p.epochs)
    trained = iter(track(range(n_epochs), n_epochs, "epochs of fold networks"))
    beliefs, word_probs = network_rounds(
        read_pixels(rows, images, p.side, folder),
        targets,
        words,
        *common,
        rounds=networks,
        fusion=fusion,
        seed=shared.seed,
        progress=lambda _: next(trained, None),
        reviewed=rows.reviewed,
        senses=senses.concepts,
    )
    frequencies = np.average(words, axis=0, weights=rows.samples.weights) if rows.samples.weights.sum() else words.mean(0)
    return beliefs, word_fit(words, word_probs, frequencies)


def score_table(
    rows: Rows,
    names: list[str],
    beliefs: Beliefs,
    texts: Texts,
    senses: np.ndarray,
    text_log_ratio: np.ndarray,
    params: ScoreParams,
    seed: int,
) -> tuple[pa.Table, Metrics]:
    """(rows of the scores table in the order of the index, what was measured)."""
    samples, has_words = rows.samples, np.diff(texts.matrix.indptr) > 0
    text_says = text_votes(texts, beliefs.words, beliefs.prior, n_concepts=len(names), least=params.calibration.least_text_chance)
    n_concepts, everyone, trained = len(names), np.arange(len(samples.given)), samples.weights > 0
    has_concept = samples.given >= 0
    suggested = suggestions(beliefs.posterior[:, :n_concepts], samples.given, min_given_share=params.min_given_share)
    # Most opinions repeat the given concept; how far the others can be trusted, only their like tell.
    kinds = (beliefs.without_text[:, :n_concepts].argmax(1) != samples.given).astype(int)
    asked = (suggested != samples.given).astype(int)
    witnesses = (Witness(text_says, beliefs.without_text, kinds, asked), Witness(samples.given, beliefs.without_given))
    heard = (beliefs.posterior[everyone, suggested], beliefs.posterior, witnesses, samples.weights)
    how: dict[str, Any] = {"bins": Bins(params.calibration.bins, params.calibration.least_rows), "senses": senses}
    chances = calibrated(*heard, **how)
    errors = standard_errors(*heard, samples.groups, n_draws=params.calibration.draws, seed=seed, **how)
    judged = np.where(has_concept, samples.given, suggested)
    given, off_topic = beliefs.posterior[everyone, judged], beliefs.posterior[:, n_concepts:].sum(1)
    graph = Graph(samples.neighbors, samples.similarities, samples.groups)
    found = detect(beliefs, samples.given, judged, graph, samples.embeddings, samples.weights, shrinkage=params.covariance_shrinkage)
    text = text_scores(text_log_ratio, has_words)
    signals = np.column_stack([opinions(rows, beliefs, suggested), found.knn_ood_score, found.mahalanobis_score, text])
    confidence, errors, learned = with_verdicts(rows, chances, errors, signals, [names[code] for code in suggested], params, seed)
    other_sense = sense_chances(beliefs, samples.given, senses)
    columns = [
        samples.sample_ids,
        samples.crawls,
        pa.array(given, pa.float32(), mask=~has_concept),
        off_topic,
        pa.array(other_sense, pa.float32(), mask=np.isnan(other_sense)),
        pa.array(np.array(names, object)[suggested], pa.string()),
        beliefs.posterior[everyone, suggested],
        confidence,
        errors,
        np.where(has_concept, given, 1.0),
        1 - off_topic,
        text,
        *found,
    ]
    arrays = [
        column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(np.clip(column, 0, 1).astype(field.type.to_pandas_dtype()))
        for column, field in zip(columns, CONTRACT.schema, strict=True)
    ]
    return pa.table(arrays, CONTRACT.schema), {
        "off_topic_share": round(float(off_topic[trained].mean()), 6) if trained.any() else None,
        "label_noise": round(1 - float(np.trace(beliefs.transition[:n_concepts]) / n_concepts), 6) if has_concept.any() else None,
        "label_issues": int(found.is_label_issue.sum()),
        "empty_text_share": round(beliefs.words.empty_share, 6),
        "temperature": round(beliefs.temperature, 6),
        "given_exponent": round(beliefs.given_exponent, 6),
        "text_exponent": round(beliefs.text_exponent, 6),
    } | learned


def sense_chances(beliefs: Beliefs, given: np.ndarray, senses: np.ndarray) -> np.ndarray:
    """(n,) float64: the belief in another sense of the given concept's word, NaN where that has none."""
    found = np.full(len(given), np.nan)
    for number, concept in enumerate(senses):
        found[given == concept] = beliefs.posterior[given == concept, beliefs.transition.shape[1] + number]
    return found


def opinions(rows: Rows, beliefs: Beliefs, suggested: np.ndarray) -> np.ndarray:
    """(n, 5): how likely each signal by itself thinks the suggested concept: all of them, image and text, image, prototypes, given one."""
    everyone = np.arange(len(suggested))
    given = np.where(rows.samples.given >= 0, (rows.samples.given == suggested).astype(float), np.nan)
    parts = (beliefs.posterior, beliefs.without_given, beliefs.image, rows.matched)
    return np.column_stack([*(part[everyone, suggested] for part in parts), given])


def with_verdicts(
    rows: Rows,
    confidence: np.ndarray,
    errors: np.ndarray,
    signals: np.ndarray,
    suggested: list[str | None],
    params: ScoreParams,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, Metrics]:
    """(confidence (n,) and its errors (n,), by people's verdicts where these are many enough to teach it; what that changed, by log loss on
    the rows that taught)."""
    samples, p = rows.samples, params.learned
    right = of_shaping(judged_right(rows.verdicts, rows.shown, suggested), suggested, samples.groups, samples.weights)
    learned = learned_chances(
        *(signals, confidence, right, samples.groups, samples.weights),
        min_verdicts=p.min_verdicts, n_folds=p.folds, n_bins=p.bins, l2=p.l2, n_steps=p.steps, n_draws=params.calibration.draws, seed=seed,
    )  # fmt: skip
    if learned is None:
        return confidence, errors, {"learned_rows": 0}
    log.info(
        "score: confidence learnt from people for %d samples: log loss %.3f -> %.3f",
        learned.within.sum(),
        learned.before_log_loss,
        learned.log_loss,
    )
    figures = {"verdict_log_loss": round(learned.log_loss, 6), "verdict_log_loss_before": round(learned.before_log_loss, 6)}
    errors = np.where(learned.within, learned.errors, errors)
    return learned.chances, errors, {"learned_rows": int(learned.within.sum())} | figures


if __name__ == "__main__":
    main(score)
