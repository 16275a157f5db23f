"""Losses by naive loops."""

import math

import torch

from cycada.core.types import IGNORE

K = 4


def flat(tensor):
    return tensor.double().flatten().tolist()


def average(values):
    values = list(values)
    return sum(values) / len(values)


def log_probabilities(row):
    total = math.log(sum(math.exp(x) for x in row))
    return [x - total for x in row]


def naive_distance(a, b):
    return average(abs(x - y) for x, y in zip(flat(a), flat(b), strict=True))


def naive_generator(fake, mode="lsgan"):
    cost = {
        "lsgan": lambda x: (x - 1) ** 2,
        "vanilla": lambda x: -math.log(1 / (1 + math.exp(-x))),
        "hinge": lambda x: -x,
        "wgan-gp": lambda x: -x,
    }[mode]
    return average(map(cost, flat(fake)))


def naive_discriminator(real, fake, mode="lsgan"):
    on_real, on_fake, factor = {
        "lsgan": (lambda x: (x - 1) ** 2, lambda x: x**2, 0.5),
        "vanilla": (
            lambda x: -math.log(1 / (1 + math.exp(-x))),
            lambda x: -math.log(1 - 1 / (1 + math.exp(-x))),
            0.5,
        ),
        "hinge": (lambda x: max(0.0, 1 - x), lambda x: max(0.0, 1 + x), 1.0),
        "wgan-gp": (lambda x: -x, lambda x: x, 1.0),
    }[mode]
    return factor * (average(map(on_real, flat(real))) + average(map(on_fake, flat(fake))))


def naive_encoder(fake, mode="lsgan"):
    cost = {"lsgan": lambda x: x**2, "vanilla": lambda x: math.log(1 + math.exp(x))}.get(mode, lambda x: x)
    return average(map(cost, flat(fake)))


def naive_penalty(gradient):
    return average((math.sqrt(sum(x * x for x in flat(image))) - 1) ** 2 for image in gradient)


def naive_domain(rows, domain):
    return average(-log_probabilities(row)[domain] for row in rows.tolist())


def naive_domains(source, target):
    return 0.5 * (naive_domain(source, 1) + naive_domain(target, 0))


def naive_weighted_domains(source, target, weights):
    costs = [w * naive_domain(row[None], 1) for row, w in zip(source, weights.tolist(), strict=True)]
    return 0.5 * (average(costs) + naive_domain(target, 0))


def naive_task(rows, labels, smoothing=0.0):
    return naive_weighted_task(rows, labels, torch.ones(len(rows)), smoothing)


def naive_weighted_task(rows, labels, weights, smoothing=0.0):
    costs = []
    for row, label, weight in zip(rows.tolist(), labels.tolist(), weights.tolist(), strict=True):
        if label == IGNORE:
            continue
        logs = log_probabilities(row)
        wanted = [(1 - smoothing) * (k == label) + smoothing / len(row) for k in range(len(row))]
        costs.append(-weight * sum(w * log for w, log in zip(wanted, logs, strict=True)))
    return average(costs)


def naive_agreement(after, before, gate, anchor="classifier", confidence=0.0, labels=None):
    costs = []
    for i, (row, anchor_row) in enumerate(zip(after.tolist(), before.tolist(), strict=True)):
        logs, p = log_probabilities(row), [math.exp(x) for x in log_probabilities(anchor_row)]
        if max(p) < confidence or (anchor == "label" and labels[i] == IGNORE):
            continue
        if anchor == "soft":
            costs.append(sum(a * (math.log(a) - b) for a, b in zip(p, logs, strict=True)))
        else:
            costs.append(-logs[labels[i] if anchor == "label" else p.index(max(p))])
    return gate.item() * average(costs) if costs else 0.0


def naive_semantic_t(after, before, labels, gate, anchor="classifier", confidence=0.0):
    return naive_agreement(after, before, gate, anchor, confidence, labels.tolist())


def naive_covariance(rows):
    means = [average(column) for column in zip(*rows, strict=True)]
    return [
        [
            sum((r[i] - means[i]) * (r[j] - means[j]) for r in rows) / (len(rows) - 1)
            for j in range(len(means))
        ]
        for i in range(len(means))
    ]


def naive_coral(source, target):
    one, other = naive_covariance(source.tolist()), naive_covariance(target.tolist())
    total = sum((a - b) ** 2 for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))
    return total / (4 * len(one) ** 2)


def naive_kernel(rows, kernels):
    """All pairs' sums of Gaussians, as nested lists."""
    squared = [[sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]
    mean = sum(map(sum, squared)) / (len(rows) * (len(rows) - 1))
    return [
        [sum(math.exp(-d / (mean * 2.0 ** (k - kernels // 2))) for k in range(kernels)) for d in line]
        for line in squared
    ]


def naive_discrepancy(kernel):
    n = len(kernel) // 2
    s, t = range(n), range(n, 2 * n)
    return sum(
        average(kernel[i][j] for i in one for j in two) * sign
        for one, two, sign in ((s, s, 1), (t, t, 1), (s, t, -2))
    )


def naive_mmd(source, target, kernels=5):
    return naive_discrepancy(naive_kernel(source.tolist() + target.tolist(), kernels))


def probabilities(rows):
    return [[math.exp(x) for x in log_probabilities(row)] for row in rows.tolist()]


def naive_jmmd(source, target, source_logits, target_logits, kernels=5):
    one = naive_kernel(source.tolist() + target.tolist(), kernels)
    other = naive_kernel(probabilities(source_logits) + probabilities(target_logits), 1)
    return naive_discrepancy(
        [[a * b for a, b in zip(x, y, strict=True)] for x, y in zip(one, other, strict=True)]
    )


def naive_entropies(rows):
    return [-sum(p * math.log(p) for p in row) for row in probabilities(rows)]


def naive_cdan(source, target, source_logits, target_logits, certainty=False):
    halves = []
    for critics, answers, domain in ((source, source_logits, 1), (target, target_logits, 0)):
        weights = [1 + math.exp(-h) if certainty else 1.0 for h in naive_entropies(answers)]
        costs = [-log_probabilities(row)[domain] for row in critics.tolist()]
        halves.append(sum(w * c for w, c in zip(weights, costs, strict=True)) / sum(weights))
    return average(halves)


def naive_self_training(student, teacher, threshold=0.9, target="label", certainty=False):
    costs = []
    for row, p in zip(student.tolist(), probabilities(teacher), strict=True):
        q = [math.exp(x) for x in log_probabilities(row)]
        squared = sum((a - b) ** 2 for a, b in zip(q, p, strict=True)) / (
            len(p) if target == "probabilities" else 1
        )
        cost = -math.log(q[p.index(max(p))]) if target == "label" else squared
        entropy = -sum(x * math.log(x) for x in p if x > 0)
        weight = 1 - entropy / math.log(len(p)) if certainty else 1.0
        costs.append(weight * cost if max(p) > threshold else 0.0)
    return average(costs)


def naive_masked_consistency(student, teacher):
    pairs = zip(student.tolist(), probabilities(teacher), strict=True)
    return average(-max(p) * log_probabilities(row)[p.index(max(p))] for row, p in pairs)


def naive_class_balance(rows, labels, prior="uniform"):
    means = [average(column) for column in zip(*probabilities(rows), strict=True)]
    known = [k for k in flat(labels) if k != IGNORE]
    wanted = [
        1 / len(means) if prior == "uniform" else known.count(k) / len(known) for k in range(len(means))
    ]

    def cost(p, q):
        return -(q * math.log(p) if q else 0) - ((1 - q) * math.log(1 - p) if q < 1 else 0)

    return average(cost(p, q) - cost(q, q) for p, q in zip(means, wanted, strict=True))


def naive_class_mix(answers, labels, classmix_mask, teacher, threshold=0.968):
    """Images are lists of pixels here: (N, P, K), (N, P)."""
    count, costs = math.prod(labels.shape), 0.0
    for rows, names, over, said in zip(answers, labels, classmix_mask, teacher, strict=True):
        p = probabilities(said)
        sure = average(float(max(q) > threshold) for q in p)
        for row, name, new in zip(rows.tolist(), names.tolist(), over.tolist(), strict=True):
            costs += 0.0 if name == IGNORE else -(1.0 if new else sure) * log_probabilities(row)[name]
    return costs / count


def naive_class_mix_of_rows(answers, labels, classmix_mask, teacher, **options):
    """Each row of a batch without height and width is an image of one pixel."""
    return naive_class_mix(*(t.unsqueeze(1) for t in (answers, labels, classmix_mask, teacher)), **options)


def naive_discrepancy_of_heads(one, other):
    pairs = zip(probabilities(one), probabilities(other), strict=True)
    return average(abs(p - q) for x, y in pairs for p, q in zip(x, y, strict=True))


def naive_patch_nce(query, key, temperature=0.07):
    costs = []
    for image_q, image_k in zip(query.flatten(0, 1).tolist(), key.flatten(0, 1).tolist(), strict=True):
        for s, q in enumerate(image_q):
            likeness = [
                math.exp(sum(a * b for a, b in zip(q, k, strict=True)) / temperature) for k in image_k
            ]
            costs.append(-math.log(likeness[s] / sum(likeness)))
    return average(costs)


NAIVE = {
    "patch_nce_s": naive_patch_nce,
    "patch_nce_t": naive_patch_nce,
    "pair_features": lambda one, other: average(
        sum((a - b) ** 2 for a, b in zip(flat(x), flat(y), strict=True))
        for x, y in zip(one, other, strict=True)
    ),
    "task_source_second": naive_task,
    "heads_agree": naive_discrepancy_of_heads,
    "heads_disagree": lambda one, other: -naive_discrepancy_of_heads(one, other),
    "self_training": naive_self_training,
    "masked_consistency": naive_masked_consistency,
    "class_balance": naive_class_balance,
    "class_mix_translated": naive_class_mix_of_rows,
    "class_mix_source": naive_class_mix_of_rows,
    "coral": naive_coral,
    "mmd": naive_mmd,
    "jmmd": naive_jmmd,
    "entropy": lambda rows: average(naive_entropies(rows)),
    "robust_entropy": lambda rows, eta=2.0: average(
        ((h / math.log(K)) ** 2 + 0.001**2) ** eta for h in naive_entropies(rows)
    ),
    "cdan": naive_cdan,
    "cycle_s": naive_distance,
    "cycle_t": naive_distance,
    "identity_s": naive_distance,
    "identity_t": naive_distance,
    "pixel_t": naive_distance,
    "self_regularisation": naive_distance,
    "feature_distance": naive_distance,
    "gan_s": naive_generator,
    "gan_t": naive_generator,
    "gan_pair": naive_generator,
    "gan_joint_s": naive_generator,
    "gan_joint_t": naive_encoder,
    "discriminate_s": naive_discriminator,
    "discriminate_t": naive_discriminator,
    "discriminate_pair": naive_discriminator,
    "discriminate_joint": naive_discriminator,
    "gradient_penalty_s": naive_penalty,
    "gradient_penalty_t": naive_penalty,
    "feature_gan": lambda rows, gate: gate.item() * naive_domain(rows, 1),
    "discriminate_feature": naive_domains,
    "domain_adversarial": naive_domains,
    "weighted_domain_adversarial": naive_weighted_domains,
    "task_source": naive_task,
    "weighted_task_source": naive_weighted_task,
    "task_translated": naive_task,
    "task_classifier": naive_task,
    "semantic_s": naive_agreement,
    "semantic_t": naive_semantic_t,
}


def rows_of(value):
    """A map as the list of its pixels."""
    return (
        value.movedim(1, -1).reshape(-1, value.shape[1])
        if value.dim() == 4
        else value.flatten()
        if value.dim()
        else value
    )
