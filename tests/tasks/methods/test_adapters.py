"""Adapters: nothing changes at first, only they learn, and merged they are the same model."""

import pytest
import torch

from tasks.methods import adapters
from tasks.methods.adapters import adaptable_model, add_adapters, hold_frozen_norms, merge_adapters
from tasks.methods.clip import Pretrained, new_model
from tests.tasks.methods.test_contrastive import CONFIG, SETTINGS, trained

PIXELS = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_change_of_rank_one_by_hand() -> None:
    layer = torch.nn.Linear(3, 2, bias=False)
    before = layer.weight.detach().clone()
    assert add_adapters(torch.nn.Sequential(layer), rank=1, strength=2.0, seed=0) == 3 + 2
    change = layer.parametrizations["weight"][0]
    with torch.no_grad():
        change.down.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
        change.up.copy_(torch.tensor([[1.0], [-1.0]]))
    expected = before + 2.0 * torch.tensor([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]])
    torch.testing.assert_close(layer.weight.detach(), expected)
    merge_adapters(layer)
    assert list(layer.state_dict()) == ["weight"]
    torch.testing.assert_close(layer.weight.detach(), expected)
    assert layer.weight.requires_grad


def test_at_first_nothing_is_changed_and_only_adapters_train() -> None:
    model, tokenizer = new_model(CONFIG, seed=0)
    model.eval()
    names, seen, read = set(model.state_dict()), model.encode_image(PIXELS), model.encode_text(tokenizer(["a moss"]))
    n = add_adapters(model, rank=4, strength=8.0, seed=0)
    torch.testing.assert_close(model.encode_image(PIXELS), seen)
    torch.testing.assert_close(model.encode_text(tokenizer(["a moss"])), read)
    learnt = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(name.endswith((".down", ".up")) for name in learnt)
    assert n < 0.1 * sum(parameter.numel() for parameter in model.parameters())
    for part in ("visual.conv1.", "visual.transformer.resblocks.0.attn.", "transformer.resblocks.0.attn.out_proj.", "mlp.c_fc."):
        assert any(part in name for name in learnt), part
    merge_adapters(model)
    assert set(model.state_dict()) == names


def test_an_adapted_model_learns_the_pairs_and_keeps_what_is_frozen() -> None:
    model, _ = new_model(CONFIG, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    add_adapters(model, rank=4, strength=8.0, seed=0)
    _, _, losses = trained(SETTINGS, model=model)
    assert losses[-1] < losses[0] - 0.3
    merge_adapters(model)
    after = model.state_dict()
    for name in ("token_embedding.weight", "logit_scale", "ln_final.weight", "visual.class_embedding"):
        assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["transformer.resblocks.0.mlp.c_fc.weight"], after["transformer.resblocks.0.mlp.c_fc.weight"])


def test_frozen_norms_keep_their_statistics() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    add_adapters(model, rank=2, strength=4.0, seed=0)
    hold_frozen_norms(model.train())
    model(PIXELS + 5)
    assert torch.equal(model[1].running_mean, torch.zeros(8))  # type: ignore[arg-type]
    merge_adapters(model)
    hold_frozen_norms(model.train())
    model(PIXELS + 5)
    assert not torch.equal(model[1].running_mean, torch.zeros(8))  # type: ignore[arg-type]


def test_a_model_without_a_large_enough_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="the model has no weight with more than 2 rows and columns to adapt: lower adapter_rank"):
        add_adapters(torch.nn.Linear(3, 2), rank=2, strength=1.0, seed=0)


@pytest.mark.parametrize("plain", [True, False])
def test_only_texts_of_open_clips_own_tokens_are_trained_on(monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    model, tokenizer = new_model(CONFIG, seed=0)
    found = Pretrained(model, tokenizer if plain else object(), CONFIG, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    monkeypatch.setattr(adapters, "pretrained_model", lambda name, pretrained: found)
    if plain:
        assert adaptable_model("mine", None, rank=4, strength=8.0, seed=0).model is model
    else:
        with pytest.raises(ValueError, match="model 'mine' has a tokenizer of its own: adapters are trained with open_clip's only"):
            adaptable_model("mine", None, rank=4, strength=8.0, seed=0)
