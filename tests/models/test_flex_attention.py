"""attention_mode "flex": the same numbers as the plain way, which exports and training on CPUs take."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from paragon_stream.errors import UsageError  # noqa: E402
from paragon_stream.models import shifted_attention  # noqa: E402
from paragon_stream.models.shifted_attention import ShiftedAttention, choose_attention  # noqa: E402


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_flex_computes_the_same_and_gives_way_where_torch_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = ShiftedAttention(16, 8, shifted=True, relative=True)
    torch.nn.init.normal_(net.relative_position_bias_table)
    calls = []
    real = shifted_attention._flex
    monkeypatch.setattr(shifted_attention, "_flex", lambda *given: calls.append(1) or real(*given))
    x = torch.rand(1, 16, 20, 13)
    with torch.no_grad():
        plain = net(x)
        choose_attention(net, "flex")
        torch.testing.assert_close(net(x), plain, rtol=1e-4, atol=1e-5)
        assert calls
        calls.clear()
        exported = torch.export.export(net, (x,))
        assert not calls
        torch.testing.assert_close(exported.module()(x), plain)
    net(x).sum().backward()
    assert not calls and net.relative_position_bias_table.grad is not None
    choose_attention(net, "sdpa")
    with torch.no_grad():
        torch.testing.assert_close(net(x), plain, rtol=0, atol=0)
    assert not calls
    with pytest.raises(UsageError, match="attention_mode is sdpa, flex or none, not 'slow'"):
        choose_attention(net, "slow")
