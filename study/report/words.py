"""Every fixed text of a report, in English and in Italian.

Names of arms, parameters and metrics' keys, and what the record quotes, stay as they are.
"""

from collections.abc import Mapping
from typing import Any

ENGLISH: Mapping[str, str] = {
    # the page
    "report_of": "Report of the study {name}",
    "made_from": "{state}. Arms: {arms}, trials: {trials}. Everything here comes from the record of the study.",
    "contents": "Contents",
    "arms_shown": "Arms shown",
    "arms_hint": "Press to hide or show an arm in all figures.",
    "figure_data": "Data of this figure:",
    "no_script": "The figures need JavaScript; the tables and sentences do not.",
    "section_answer": "The answer",
    "section_evidence": "The evidence, claim by claim",
    "section_arms": "The arms",
    "section_effects": "What each loss does",
    "section_motion": "The predictions, moving",
    "section_pareto": "Error against diversity",
    "section_learning": "Learning curves",
    "section_search": "The search",
    "section_winners": "The winners",
    "section_failures": "What failed",
    "section_plan": "What was locked",
    # states of a study
    "state_running": "the study is running",
    "state_interrupted": "the study is interrupted",
    "state_finished": "the study is finished",
    "state_budget_spent": "the study has spent its budget",
    "state_too_many_failed": "the study stopped because too many trials failed",
    "state_failed": "the study failed",
    # verdicts
    "word_superior": "superior",
    "word_non_inferior": "non-inferior",
    "word_inferior": "inferior",
    "word_inconclusive": "inconclusive",
    "word_gate_failed": "gate failed",
    "answer_superior": "Yes. {candidate} is better than {reference} in {all}.",
    "answer_non_inferior": "Yes. {candidate} keeps at least {keep} of what {reference} gains over {gate}, in {all}.",
    "answer_non_inferior_absolute": "Yes. {candidate} stays within the margin of {reference} in {all}.",
    "answer_seeds_needed": "About {n} seeds would decide.",
    "answer_inferior": "No. {why}",
    "answer_inconclusive": "Undecided. {why}",
    "answer_too_few": "Undecided. Too few pairs of seeds for any verdict: {n}, and it needs {least}.",
    "answer_gate_failed": "This study cannot tell. {reference} itself does not clearly beat {gate} in {some}, so "
    "there is no gain that {candidate} could keep.",
    "answer_whatever_gate": "Whatever the gate: {why}",
    "lost_metrics": "{candidate} loses more than the margin against {reference} in {some}.",
    "lost_diversity": "{candidate} keeps {share} of the diversity of {reference}, where {limit} is required.",
    "lost_diverged": "{share} of the members of {candidate} diverged, where at most {limit} may.",
    "open_metrics": "In {some} the interval reaches across the margin: these seeds cannot tell whether {candidate} can "
    "replace {reference}.",
    "open_gate": "There is no margin for {some}: too few pairs of seeds of {reference} and {gate}.",
    "open_diversity": "These seeds cannot tell whether {candidate} keeps {limit} of the diversity of {reference}: it "
    "has between {low} and {high}.",
    "open_diverged": "{share} of the members of {candidate} diverged: these seeds cannot tell whether more than "
    "{limit} do.",
    "detail_numbers": "{change} than {reference}; with {confidence} confidence at worst {bound}.",
    "detail_margin": "At most {margin} is allowed.",
    "detail_gate_failed": "No margin, since {reference} does not clearly beat {gate}.",
    "detail_none": "Too few pairs of seeds.",
    "detail_seeds": "{n} seeds.",
    "detail_missing": "Missing, since a member diverged or did not run: {n}.",
    "detail_p": "p {p}, by flipping signs {p_permutation}.",
    "detail_holm": "Corrected by Holm over {n} claims: p {p}.",
    "detail_diversity": "{share} of the diversity (APD) of {reference}, between {low} and {high}; at least {limit} is "
    "required.",
    "detail_diverged": "{share} of the members diverged, between {low} and {high}; at most {limit} may.",
    "guardrail": "Guardrail",
    "guard_non_inferior": "kept",
    "guard_inferior": "broken",
    "guard_inconclusive": "inconclusive",
    "mark_favoured": "favoured",
    "mark_conservative": "conservative",
    "favour_favoured": "Favoured: only the candidate trains on this metric.",
    "favour_conservative": "Conservative: only the reference trains on this metric.",
    "better": "{share} better",
    "worse": "{share} worse",
    "warning_few_seeds": "Only {n} seeds: the interval is wide, and how often it covers the truth is uncertain.",
    "warning_no_interval": "Pairs of seeds of which both members are there: {n}. That is too few for an interval.",
    "looks_picked_again": "Winners were picked again after the test split had been opened, by somebody who could know "
    "the first answer. It was opened {n} times.",
    "looks_winners_changed": "Since then another trial has won in: {arms}.",
    "looks_seeds_added": "Seeds were added after a look at the test split, {n}×, and the claims judged again at the "
    "same level. At its margin a claim then holds by chance more often than that says: at 5 %, in about 9 % of studies "
    "after one such addition, and in 12 to 14 % after up to three.",
    "few_tested": "The test split has {people}'s clips: intervals are over seeds, not over people.",
    "one_person": "one person",
    "few_people": "{n} people",
    "no_claims": "The study makes no claim; its arms stand side by side below.",
    "no_verdict_yet": "No verdict yet: {arms} must be confirmed on fresh seeds first.",
    "beat_frozen": "Better than a person who stands still, with the whole interval: {arms}.",
    "not_beat_frozen": "Not clearly better than a person who stands still: {arms}. A comparison with these says "
    "little.",
    "some_diverged": "{arm}: {n} of {all} members diverged, a share between {low} and {high} (Wilson's 95 % interval).",
    "not_confirmed": "Not confirmed on fresh seeds: {arms}. Their numbers are of the search, on the validation split, "
    "and look better than they are.",
    "and": "and",
    "half": "half",
    "share_of": "{share}",
    # forest
    "forest_caption": "Difference to the reference, paired by seed: mean, both one-sided bounds at the level that the "
    "claim asks for, and every seed as a point. Favoured: only the candidate trains on the metric; conservative: only "
    "the reference does. The line at 0 means equal; the dashed mark is the margin, and the "
    "green band what may be lost. An interval that ends left of the mark is non-inferior, one that ends left of 0 "
    "superior.",
    "forest_picture": "Mean difference to the reference, with both one-sided bounds at the level that the claim asks "
    "for, in the colour of the verdict: green superior or non-inferior, grey inconclusive, red inferior, orange gate "
    "failed. The line at 0 means equal; the dotted mark is the margin, which there is none of where the gate failed. "
    "Favoured: only the candidate trains on the metric; conservative: only the reference does.",
    "forest_axis": "← better · {candidate} against {reference} · worse →",
    "forest_empty": "There is nothing to draw before three arms of a claim are confirmed.",
    "margin": "margin",
    "seed": "seed",
    "mean": "mean",
    "difference": "difference",
    "bounds": "bounds",
    # arms
    "arms_caption_confirm": "Test split, fresh seeds: mean, 95 % interval over seeds, and every member as a point, on "
    "one scale a column. ADE and FDE: best of K futures; APD: their diversity; joint: mean over all futures; bones: "
    "relative change of length; jerk: of the movement, as a ratio to the truth's, 1 is best; vs frozen: ADE against "
    "that of standing still.",
    "arms_caption_search": "Validation split, the seeds of the search: the best of many trials looks better than it "
    "is.",
    "col_arm": "arm",
    "col_losses": "losses",
    "col_n": "n",
    "col_ade": "ADE m",
    "col_fde": "FDE m",
    "col_apd": "APD m",
    "col_joint_error_mm": "joint mm",
    "col_bone_error": "bones",
    "col_jerk_ratio": "jerk",
    "col_against": "vs frozen",
    "col_time": "training",
    "name_ade": "ADE",
    "name_fde": "FDE",
    "name_apd": "diversity (APD)",
    "name_joint_error_mm": "joint error",
    "name_bone_error": "bone error",
    "name_jerk_ratio": "smoothness (jerk)",
    "name_score": "score",
    "of_members": "{n} of {all}",
    "not_better": "{change}, not better",
    "unconfirmed": "unconfirmed",
    "adversarial_only": "adversarial only",
    "baseline_zero_velocity": "zero velocity",
    "baseline_constant_velocity": "constant velocity",
    "better_low": "less is better",
    "better_high": "more is more diverse",
    "better_one": "1 is best",
    # effects
    "effects_caption": "Main effects of the losses and their interactions, from all confirmed arms at once: the "
    "change of each metric itself from without the loss to with it, at the mean of all else, with its 95 % interval. "
    "Whether less of a metric is better differs from one to the other, so each change is marked as better (green) or "
    "worse (red) where the 95 % interval of its badness says so, which for the jerk ratio is its distance from 1; × is "
    "by how much the effect of one differs where the others are. "
    "Each arm has the configuration that its own search found: an effect is that of a loss together with what was "
    "searched for it, and the interval covers the seeds of these winners, not what another search would have found.",
    "effect_better": "better",
    "effect_worse": "worse",
    "effects_change": "change of the metric",
    "effects_none": "The confirmed arms cannot tell the effects of single losses apart.",
    "effects_assumed_none": "Taken to be none, since these arms cannot tell: {terms}.",
    "effects_axis": "← better · worse →",
    # motions
    "motion_intro": "The same observed poses and the same z for every arm, none of it seen in training. Drag to walk "
    "around the people; the arrow keys do the same.",
    "motion_caption": "A bone's colour is its length against the last observed pose; the pale figure behind each "
    "prediction is the truth.",
    "motion_none": "No predictions were kept.",
    "truth": "truth",
    "play": "Play",
    "pause": "Pause",
    "clip": "clip",
    "speed": "speed",
    "time": "time",
    "observed": "observed",
    "predicted": "predicted",
    "diverged": "diverged",
    "shadow": "truth as a shadow",
    "shorter": "shorter",
    "longer": "longer",
    "same_length": "as observed",
    "bones_off": "bones ±{share}",
    "panel_label": "Moving skeleton: {name}",
    "orbit_label": "Moving skeletons. Drag, or press the arrow keys, to look from elsewhere.",
    # Pareto
    "pareto_caption": "Every confirmed member as a point, every arm's mean with its 95 % intervals; the line joins "
    "the arms that no other beats in both. Best is below and to the right.",
    "pareto_search": "Arms are not confirmed yet: these are members of the best trials of the search, on the "
    "validation split.",
    "pareto_front": "On the front: {arms}.",
    "beyond_scale": "Beyond the scale: {name}, ADE {ade} m.",
    "pareto_none": "There are no members to draw yet.",
    "axis_apd": "diversity (APD), m →",
    "axis_ade": "↑ error (ADE), m",
    # learning
    "learning_caption": "Validation split: mean and 95 % interval over the members of each arm's confirmed trial, or "
    "of the best trial of the search where there is none. An interval much wider than the means' range is cut off.",
    "learning_none": "No epochs were recorded.",
    "metric": "metric",
    "epoch": "epoch",
    # search
    "search_caption": "Every trial of the search: filled is complete, hollow pruned early, a cross failed, and the "
    "ring the winner. A trial beyond the scale stands at its edge.",
    "importance_caption": "Bars: the share of the objective's variance inside the arm that a parameter explains "
    "(fANOVA over complete trials). With few trials it is a hint and no more.",
    "importance_few": "Complete trials: {n}; importances need {least}.",
    "importance_most": "The bars are of {most} of them, evenly spread over the search.",
    "importance_none": "No parameter explains anything here.",
    "parameter": "parameter",
    "objective": "objective",
    "trial_number": "trial number",
    "complete": "complete",
    "pruned": "pruned",
    "failed": "failed",
    "winner": "winner",
    "importance": "importance",
    "search_counts": "Complete {complete}, pruned {pruned}, failed {failed}",
    # winners
    "winners_intro": "An arm's best trial was picked by {objective} on the validation split, first in the search and, "
    "where there was a shortlist, then on new seeds. The optimism of the search is by how much it comes out worse on "
    "fresh seeds.",
    "score_note": "The score, less of which is better, is the mean of three logarithms, so that it favours no arm: of "
    "ADE over that of a person who stands still, of the bone error over the data's own variation of bones (at least "
    "0), and of how far the jerk is from the truth's.",
    "col_trial": "trial",
    "col_picked": "search",
    "col_shortlisted": "shortlist",
    "col_confirmed": "confirmed",
    "col_optimism": "optimism",
    # failures
    "failures_none": "No trial failed, no process was lost, no member diverged or collapsed.",
    "col_what": "what",
    "col_number": "number",
    "col_example": "for example",
    "fail_trial": "trial failed: {kind}",
    "fail_attempt": "execution lost, repeated: {kind}",
    "fail_diverged": "member diverged",
    "fail_collapsed": "member collapsed",
    "kind_diverged": "diverged",
    "kind_out_of_memory": "out of memory",
    "kind_crashed": "process crashed",
    "kind_lost_node": "machine lost",
    "kind_bug": "exception",
    "kind_bad_input": "bad input",
    "failure_note": "Diverged members count and are never left out silently. A collapsed member predicts one future "
    "for every z.",
    # plan
    "plan_intro": "The plan was locked on {date}, before the first trial, and the digest of the data with it.",
    "plan_digest": "lock (SHA-256 of plan, data and code)",
    "code_digest": "code version (SHA-256)",
    "test_opened": "test split opened",
    "test_opened_by": "{time}, by {driver}, after these had won: {winners}",
    "test_opened_for": "; for {trials}",
    "data_digest": "SHA-256 of the data and of who is in which split (study data describe has that of the recordings "
    "alone)",
    "dataset": "data set",
    "split_train": "training split",
    "split_validation": "validation split",
    "split_test": "test split",
    "split_size": "people {people}, clips {clips}, windows {windows}",
    "preset": "preset",
    "seeds_confirm": "fresh seeds an arm",
    "driven": "driven for",
    "ended": "ended",
    "reason": "reason",
    "environment": "Versions and machine",
    "env_python": "Python",
    "env_platform": "system",
    "env_processor": "processor",
    "env_cores": "cores",
    "env_code": "SHA-256 of the training code",
    "amendments": "Amendments",
    "amendments_none": "Nothing was changed or added after the plan was locked.",
    "amend_add_trials": "more trials of every arm",
    "amend_more_seeds": "more seeds of every winner",
    "amend_retry_failed": "failed trials run again",
    "amend_resources": "resources changed",
    "amend_tracking": "address of MLflow changed",
    "amend_budget": "budget changed",
    "amend_storage": "storage changed",
    "amend_environment": "environment changed",
    "study_file": "The study file, as it was given",
    "locked_plan": "The plan that was locked: with every default, and with what the command line changed",
    "again": "To compute a number of this page again: {command}",
}

ITALIAN: Mapping[str, str] = {
    "report_of": "Rapporto dello studio {name}",
    "made_from": "{state}. Bracci: {arms}, prove: {trials}. Tutto ciò che segue viene dal registro dello studio.",
    "contents": "Indice",
    "arms_shown": "Bracci mostrati",
    "arms_hint": "Premere per nascondere o mostrare un braccio in tutte le figure.",
    "figure_data": "Dati di questa figura:",
    "no_script": "Le figure richiedono JavaScript; le tabelle e le frasi no.",
    "section_answer": "La risposta",
    "section_evidence": "Le prove, tesi per tesi",
    "section_arms": "I bracci",
    "section_effects": "Che cosa fa ogni termine di costo",
    "section_motion": "Le predizioni in movimento",
    "section_pareto": "Errore e diversità",
    "section_learning": "Curve di apprendimento",
    "section_search": "La ricerca",
    "section_winners": "I vincitori",
    "section_failures": "Che cosa è fallito",
    "section_plan": "Che cosa era fissato",
    "state_running": "lo studio è in corso",
    "state_interrupted": "lo studio è interrotto",
    "state_finished": "lo studio è concluso",
    "state_budget_spent": "lo studio ha esaurito le risorse concesse",
    "state_too_many_failed": "lo studio si è fermato perché troppe prove sono fallite",
    "state_failed": "lo studio è fallito",
    "word_superior": "superiore",
    "word_non_inferior": "non inferiore",
    "word_inferior": "inferiore",
    "word_inconclusive": "non conclusivo",
    "word_gate_failed": "premessa non verificata",
    "answer_superior": "Sì. {candidate} è migliore di {reference} in {all}.",
    "answer_non_inferior": "Sì. {candidate} conserva almeno {keep} di quanto {reference} guadagna su {gate}, in {all}.",
    "answer_non_inferior_absolute": "Sì. {candidate} resta entro il margine da {reference} in {all}.",
    "answer_seeds_needed": "Circa {n} semi deciderebbero.",
    "answer_inferior": "No. {why}",
    "answer_inconclusive": "Non deciso. {why}",
    "answer_too_few": "Non deciso. Troppo poche coppie di semi per qualunque verdetto: {n}, e ne servono {least}.",
    "answer_gate_failed": "Questo studio non può dirlo. Lo stesso {reference} non supera chiaramente {gate} in "
    "{some}: non c'è un guadagno che {candidate} possa conservare.",
    "answer_whatever_gate": "Comunque sia la premessa: {why}",
    "lost_metrics": "{candidate} perde più del margine rispetto a {reference} in {some}.",
    "lost_diversity": "{candidate} conserva il {share} della diversità di {reference}, dove è richiesto il {limit}.",
    "lost_diverged": "Il {share} dei membri di {candidate} è divergente, dove è ammesso al massimo il {limit}.",
    "open_metrics": "In {some} l'intervallo attraversa il margine: questi semi non bastano a dire se {candidate} possa "
    "sostituire {reference}.",
    "open_gate": "Non c'è un margine per {some}: troppo poche coppie di semi di {reference} e {gate}.",
    "open_diversity": "Questi semi non bastano a dire se {candidate} conservi il {limit} della diversità di "
    "{reference}: ne ha tra il {low} e il {high}.",
    "open_diverged": "Il {share} dei membri di {candidate} è divergente: questi semi non bastano a dire se lo sia più "
    "del {limit}.",
    "detail_numbers": "{change} di {reference}; con confidenza del {confidence} al peggio {bound}.",
    "detail_margin": "È ammesso al massimo {margin}.",
    "detail_gate_failed": "Nessun margine, perché {reference} non supera chiaramente {gate}.",
    "detail_none": "Troppo poche coppie di semi.",
    "detail_seeds": "{n} semi.",
    "detail_missing": "Mancanti, perché un membro è divergente o non ha girato: {n}.",
    "detail_p": "p {p}, invertendo i segni {p_permutation}.",
    "detail_holm": "Con la correzione di Holm su {n} tesi: p {p}.",
    "detail_diversity": "Il {share} della diversità (APD) di {reference}, tra {low} e {high}; è richiesto almeno il "
    "{limit}.",
    "detail_diverged": "Il {share} dei membri è divergente, tra {low} e {high}; è ammesso al massimo il {limit}.",
    "guardrail": "Salvaguardia",
    "guard_non_inferior": "rispettata",
    "guard_inferior": "violata",
    "guard_inconclusive": "non conclusiva",
    "mark_favoured": "favorita",
    "mark_conservative": "prudente",
    "favour_favoured": "Favorito: solo il candidato si addestra su questa metrica.",
    "favour_conservative": "Prudente: solo il riferimento si addestra su questa metrica.",
    "better": "{share} meglio",
    "worse": "{share} peggio",
    "warning_few_seeds": "Solo {n} semi: l'intervallo è largo, ed è incerto quanto spesso contenga il valore vero.",
    "warning_no_interval": "Coppie di semi di cui ci sono entrambi i membri: {n}. Sono troppo poche per un intervallo.",
    "looks_picked_again": "I vincitori sono stati scelti di nuovo dopo che l'insieme di test era stato aperto, da chi "
    "poteva conoscere la prima risposta. È stato aperto {n} volte.",
    "looks_winners_changed": "Da allora ha vinto un'altra prova in: {arms}.",
    "looks_seeds_added": "Dopo uno sguardo all'insieme di test sono stati aggiunti semi, {n}×, e le tesi giudicate di "
    "nuovo allo stesso livello. Al suo margine una tesi è allora accettata per caso più spesso di quanto quello dica: "
    "al 5 %, in circa il 9 % degli studi dopo una sola aggiunta, e nel 12–14 % dopo fino a tre.",
    "few_tested": "L'insieme di test ha le sequenze di {people}: gli intervalli sono sui semi, non sulle persone.",
    "one_person": "una sola persona",
    "few_people": "sole {n} persone",
    "no_claims": "Lo studio non sostiene alcuna tesi; i suoi bracci sono messi a confronto qui sotto.",
    "no_verdict_yet": "Ancora nessun verdetto: prima va confermato su semi nuovi {arms}.",
    "beat_frozen": "Migliori di una persona che resta ferma, con l'intero intervallo: {arms}.",
    "not_beat_frozen": "Non chiaramente migliori di una persona che resta ferma: {arms}. Un confronto con questi dice "
    "poco.",
    "some_diverged": "{arm}: {n} membri su {all} divergenti, una quota tra {low} e {high} (intervallo di Wilson al 95 "
    "%).",
    "not_confirmed": "Non confermati su semi nuovi: {arms}. I loro numeri sono quelli della ricerca, sull'insieme di "
    "validazione, e sembrano migliori di quanto siano.",
    "and": "e",
    "half": "la metà",
    "share_of": "il {share}",
    "forest_caption": "Differenza dal riferimento, appaiata seme per seme: media, i due limiti unilaterali al livello "
    "che la tesi richiede e ogni seme come punto. Favorita: solo il candidato si addestra sulla metrica; prudente: "
    "solo il riferimento. La linea a 0 significa uguale; il segno tratteggiato è il margine, "
    "e la fascia verde ciò che si può perdere. Un intervallo che finisce a sinistra del segno è non inferiore, uno "
    "che finisce a sinistra di 0 superiore.",
    "forest_picture": "Differenza media dal riferimento, con i due limiti unilaterali al livello che la tesi "
    "richiede, nel colore del verdetto: verde superiore o non inferiore, grigio non conclusivo, rosso inferiore, "
    "arancione premessa non verificata. La linea a 0 significa uguale; il segno punteggiato è il margine, che non c'è "
    "dove la premessa non è verificata. Favorita: solo il candidato si addestra sulla metrica; prudente: solo il "
    "riferimento.",
    "forest_axis": "← meglio · {candidate} rispetto a {reference} · peggio →",
    "forest_empty": "Non c'è nulla da disegnare finché tre bracci di una tesi non sono confermati.",
    "margin": "margine",
    "seed": "seme",
    "mean": "media",
    "difference": "differenza",
    "bounds": "limiti",
    "arms_caption_confirm": "Insieme di test, semi nuovi: media, intervallo al 95 % sui semi e ogni membro come "
    "punto, con una sola scala per colonna. ADE e FDE: il migliore di K futuri; APD: la loro diversità; giunti: media "
    "su tutti i futuri; ossa: variazione relativa di lunghezza; jerk: del movimento, come rapporto con quello vero, "
    "ideale 1; contro fermo: ADE rispetto a quello di chi resta fermo.",
    "arms_caption_search": "Insieme di validazione, semi della ricerca: la migliore di molte prove sembra migliore di "
    "quanto sia.",
    "col_arm": "braccio",
    "col_losses": "termini di costo",
    "col_n": "n",
    "col_ade": "ADE m",
    "col_fde": "FDE m",
    "col_apd": "APD m",
    "col_joint_error_mm": "giunti mm",
    "col_bone_error": "ossa",
    "col_jerk_ratio": "jerk",
    "col_against": "contro fermo",
    "col_time": "addestramento",
    "name_ade": "ADE",
    "name_fde": "FDE",
    "name_apd": "diversità (APD)",
    "name_joint_error_mm": "errore dei giunti",
    "name_bone_error": "errore delle ossa",
    "name_jerk_ratio": "fluidità (jerk)",
    "name_score": "punteggio",
    "of_members": "{n} di {all}",
    "not_better": "{change}, non migliore",
    "unconfirmed": "non confermato",
    "adversarial_only": "solo avversario",
    "baseline_zero_velocity": "velocità nulla",
    "baseline_constant_velocity": "velocità costante",
    "better_low": "meno è meglio",
    "better_high": "di più è più vario",
    "better_one": "ideale 1",
    "effects_caption": "Effetti principali dei termini di costo e loro interazioni, da tutti i bracci confermati "
    "insieme: la variazione della metrica stessa da senza a con quel termine, alla media di tutto il resto, con il suo "
    "intervallo al 95 %. Non per ogni metrica meno è meglio: ogni variazione è perciò segnata come migliore (verde) o "
    "peggiore (rosso) dove lo dice l'intervallo al 95 % del suo scarto dal meglio, che per il rapporto di jerk è la "
    "distanza da 1; × è di quanto l'effetto di uno cambia dove ci sono gli altri. "
    "Ogni braccio ha la configurazione trovata dalla sua ricerca: un effetto è quello di un termine insieme con ciò "
    "che è stato cercato per esso, e l'intervallo copre i semi di questi vincitori, non ciò che un'altra ricerca "
    "avrebbe trovato.",
    "effect_better": "migliore",
    "effect_worse": "peggiore",
    "effects_change": "variazione della metrica",
    "effects_none": "I bracci confermati non permettono di distinguere gli effetti dei singoli termini di costo.",
    "effects_assumed_none": "Considerati nulli, perché questi bracci non li distinguono: {terms}.",
    "effects_axis": "← meglio · peggio →",
    "motion_intro": "Le stesse pose osservate e lo stesso z per ogni braccio, mai visti in addestramento. Trascinare "
    "per girare intorno alle persone; le frecce della tastiera fanno lo stesso.",
    "motion_caption": "Il colore di un osso è la sua lunghezza rispetto all'ultima posa osservata; la figura pallida "
    "dietro ogni predizione è la verità.",
    "motion_none": "Non sono state conservate predizioni.",
    "truth": "verità",
    "play": "Avvia",
    "pause": "Ferma",
    "clip": "sequenza",
    "speed": "velocità",
    "time": "tempo",
    "observed": "osservato",
    "predicted": "predetto",
    "diverged": "divergente",
    "shadow": "verità come ombra",
    "shorter": "più corto",
    "longer": "più lungo",
    "same_length": "come osservato",
    "bones_off": "ossa ±{share}",
    "panel_label": "Scheletro in movimento: {name}",
    "orbit_label": "Scheletri in movimento. Trascinare, o premere le frecce, per guardare da un altro punto.",
    "pareto_caption": "Ogni membro confermato come punto, la media di ogni braccio con i suoi intervalli al 95 %; la "
    "linea unisce i bracci che nessun altro supera in entrambe le cose. Il meglio è in basso a destra.",
    "pareto_search": "I bracci non sono ancora confermati: questi sono membri delle migliori prove della ricerca, "
    "sull'insieme di validazione.",
    "pareto_front": "Sul fronte: {arms}.",
    "beyond_scale": "Oltre la scala: {name}, ADE {ade} m.",
    "pareto_none": "Non ci sono ancora membri da disegnare.",
    "axis_apd": "diversità (APD), m →",
    "axis_ade": "↑ errore (ADE), m",
    "learning_caption": "Insieme di validazione: media e intervallo al 95 % sui membri della prova confermata di ogni "
    "braccio, o della migliore prova della ricerca dove non ce n'è una. Un intervallo molto più largo del campo delle "
    "medie è tagliato.",
    "learning_none": "Nessuna epoca registrata.",
    "metric": "metrica",
    "epoch": "epoca",
    "search_caption": "Ogni prova della ricerca: piena è completa, vuota è interrotta presto, una croce è fallita, e "
    "l'anello è il vincitore. Una prova oltre la scala sta sul suo bordo.",
    "importance_caption": "Barre: la quota della varianza dell'obiettivo, dentro il braccio, che un parametro spiega "
    "(fANOVA sulle prove complete). Con poche prove è un indizio e niente di più.",
    "importance_few": "Prove complete: {n}; per le importanze ne servono {least}.",
    "importance_most": "Le barre sono di {most} di esse, distribuite uniformemente lungo la ricerca.",
    "importance_none": "Qui nessun parametro spiega nulla.",
    "parameter": "parametro",
    "objective": "obiettivo",
    "trial_number": "numero della prova",
    "complete": "completa",
    "pruned": "interrotta",
    "failed": "fallita",
    "winner": "vincitore",
    "importance": "importanza",
    "search_counts": "Complete {complete}, interrotte {pruned}, fallite {failed}",
    "winners_intro": "La prova migliore di un braccio è stata scelta con {objective} sull'insieme di validazione. "
    "Dove c'era una rosa ristretta, ha deciso quella, su altri semi. L'ottimismo della ricerca è di quanto risulta "
    "peggiore su semi nuovi.",
    "score_note": "Il punteggio, di cui meno è meglio, è la media di tre logaritmi, così che non favorisce alcun "
    "braccio: dell'ADE rispetto a quello di una persona che resta ferma, dell'errore delle ossa rispetto alla "
    "variazione delle ossa nei dati stessi (almeno 0), e di quanto il jerk è lontano da quello vero.",
    "col_trial": "prova",
    "col_picked": "ricerca",
    "col_shortlisted": "rosa ristretta",
    "col_confirmed": "confermato",
    "col_optimism": "ottimismo",
    "failures_none": "Nessuna prova è fallita, nessun processo è andato perso, nessun membro è divergente o "
    "collassato.",
    "col_what": "che cosa",
    "col_number": "numero",
    "col_example": "per esempio",
    "fail_trial": "prova fallita: {kind}",
    "fail_attempt": "esecuzione persa e ripetuta: {kind}",
    "fail_diverged": "membro divergente",
    "fail_collapsed": "membro collassato",
    "kind_diverged": "divergenza",
    "kind_out_of_memory": "memoria esaurita",
    "kind_crashed": "processo caduto",
    "kind_lost_node": "macchina persa",
    "kind_bug": "eccezione",
    "kind_bad_input": "dati non validi",
    "failure_note": "I membri divergenti contano e non vengono mai tolti in silenzio. Un membro collassato predice un "
    "solo futuro per ogni z.",
    "plan_intro": "Il piano è stato fissato il {date}, prima della prima prova, insieme all'impronta dei dati.",
    "plan_digest": "blocco (SHA-256 di piano, dati e codice)",
    "code_digest": "versione del codice (SHA-256)",
    "test_opened": "insieme di test aperto",
    "test_opened_by": "{time}, da {driver}, dopo che avevano vinto: {winners}",
    "test_opened_for": "; per {trials}",
    "data_digest": "SHA-256 dei dati e di chi è in quale insieme (study data describe dà quello delle sole "
    "registrazioni)",
    "dataset": "insieme di dati",
    "split_train": "insieme di addestramento",
    "split_validation": "insieme di validazione",
    "split_test": "insieme di test",
    "split_size": "persone {people}, sequenze {clips}, finestre {windows}",
    "preset": "configurazione di base",
    "seeds_confirm": "semi nuovi per braccio",
    "driven": "in esecuzione per",
    "ended": "concluso il",
    "reason": "motivo",
    "environment": "Versioni e macchina",
    "env_python": "Python",
    "env_platform": "sistema",
    "env_processor": "processore",
    "env_cores": "core",
    "env_code": "SHA-256 del codice di addestramento",
    "amendments": "Modifiche",
    "amendments_none": "Nulla è stato cambiato o aggiunto dopo che il piano era fissato.",
    "amend_add_trials": "altre prove per ogni braccio",
    "amend_more_seeds": "altri semi per ogni vincitore",
    "amend_retry_failed": "prove fallite ripetute",
    "amend_resources": "risorse cambiate",
    "amend_tracking": "indirizzo di MLflow cambiato",
    "amend_budget": "limiti cambiati",
    "amend_storage": "archivio cambiato",
    "amend_environment": "ambiente cambiato",
    "study_file": "Il file dello studio, come è stato dato",
    "locked_plan": "Il piano che è stato fissato: con ogni valore predefinito e con ciò che la riga di comando ha "
    "cambiato",
    "again": "Per ricalcolare un numero di questa pagina: {command}",
}

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "it": ITALIAN}


class Words:
    """One language: texts by key, and numbers as it writes them."""

    def __init__(self, language: str) -> None:
        self.language, self.table = language, LANGUAGES[language]

    def __call__(self, key: str, **values: Any) -> str:
        return self.table[key].format(**values)

    def named(self, prefix: str, name: str) -> str:
        """The text of a word of the record, such as a state; the word itself where there is no text for it."""
        return self.table.get(prefix + name.replace("-", "_").replace(" ", "_"), name)

    def number(self, value: float, form: str) -> str:
        """A number in Python's format; Italian has a decimal comma."""
        text = format(value, form).replace("-", "−")
        return text.replace(".", ",") if self.language == "it" else text

    def percent(self, share: float) -> str:
        """``0.123`` is 12 %, and what is below 10 % has a decimal place."""
        return self.number(100 * share, ".1f" if 0 < abs(share) < 0.0995 else ".0f") + " %"

    def p(self, value: float) -> str:
        """A probability; below a thousandth only that."""
        return "< " + self.number(0.001, ".3f") if value < 0.001 else self.number(value, ".3f")

    def arm(self, name: str) -> str:
        """An arm's name in a sentence, where ``all`` or ``none`` would be read as a word."""
        return f"«{name}»" if self.language == "it" else f"“{name}”"

    def arms(self, names: list[str]) -> str:
        """``“a”, “b” and “c”``."""
        return self.listed([self.arm(name) for name in names])

    def listed(self, names: list[str]) -> str:
        """``a, b and c``."""
        return f" {self('and')} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
