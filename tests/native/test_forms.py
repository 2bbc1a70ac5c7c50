"""The form that a processor gets: never one whose instructions it, or its operating system, does not have."""

from __future__ import annotations

import dataclasses

import pytest
from native_material import make_job

from paragon_stream.errors import EngineError
from paragon_stream.native import abi, build, library
from paragon_stream.native.forms import CPU_FLAGS, FORMS, Form, Processor, forms_of
from paragon_stream.native.library import Kernels, kernels, missing
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.native import choice
from paragon_stream.runtimes.native.choice import form_for

AMD, INTEL = b"AuthenticAMD", b"GenuineIntel"
ALL = (*(0xFFFFFFFF for _ in range(6)), 0, 0, 0, 0b11)


def processor(words: tuple[int, ...] = ALL, maker: bytes = AMD) -> Processor:
    name = tuple(int.from_bytes(maker[at : at + 4], "little") for at in (0, 4, 8))
    return Processor(words=(*words[:6], *name, words[9]), machine="x86_64")


def without(flag: str) -> Processor:
    word, bit = CPU_FLAGS[flag]
    return processor(tuple(value & ~(1 << bit) if at == word else value for at, value in enumerate(ALL)))


def runs(machine: Processor) -> set[str]:
    return {form.name for form in FORMS if machine.runs(form)}


def test_a_processor_that_has_everything_runs_all_forms_of_its_kind() -> None:
    assert runs(processor()) == {form.name for form in forms_of("x86_64")}
    arm = dataclasses.replace(processor(), machine="aarch64")
    assert runs(arm) == {"neon", "neon_fp16"}
    assert runs(dataclasses.replace(arm, words=(0,) * 10)) == {"neon"}
    assert runs(processor((0,) * 10)) == set()


@pytest.mark.parametrize("form", forms_of("x86_64"), ids=lambda form: form.name)
def test_one_missing_flag_is_enough(form: Form) -> None:
    for flag in form.needs:
        assert form.name not in runs(without(flag)), flag


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (0b011, set()),
        (0b111, {"avx2"}),
        (0xE7, {"avx2", "avx512", "avx512_bf16", "avx512_fp16"}),
        (0x600E7, {"avx2", "avx512", "avx512_bf16", "avx512_fp16", "amx_bf16"}),
        (0x200E7, {"avx2", "avx512", "avx512_bf16", "avx512_fp16"}),
        (0xC7, {"avx2"}),
    ],
)
def test_registers_that_the_system_does_not_keep_are_not_used(kept: int, expected: set[str]) -> None:
    assert runs(processor((*ALL[:5], kept, *ALL[6:]))) == expected


def test_vectors_of_bf16_are_faster_on_one_makers_processors_only() -> None:
    (bf16,) = (form for form in FORMS if form.name == "avx512_bf16")
    assert processor(maker=AMD).gains_by(bf16) and not processor(maker=INTEL).gains_by(bf16)
    assert all(processor(maker=INTEL).gains_by(form) for form in FORMS if form is not bf16)


def test_the_fastest_form_of_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing():
        pytest.skip(missing())
    job = make_job("realtime", 2, "yuv420p", (16, 16))
    assert form_for(Precision.FP32, job).form.precision == "fp32"
    assert form_for(Precision.AUTO, job).is_fast
    exact = tuple(each for each in kernels() if each.form.precision == "fp32")
    monkeypatch.setattr(choice, "kernels", lambda: exact)
    assert form_for(Precision.AUTO, job).form is exact[-1].form
    for precision in (Precision.BF16, Precision.FP16):
        with pytest.raises(EngineError, match=f"does not compute in {precision} on this CPU"):
            form_for(precision, job)


@pytest.mark.parametrize(
    ("variant", "pixels", "forms"),
    [
        ("realtime", "yuv420p10le", ["avx512", "avx512_bf16", "avx512_fp16", "amx_bf16"]),
        ("realtime", "yuv420p12le", ["avx512", "avx512", "avx512", "avx512"]),
        ("stream", "yuv420p", ["avx512", "avx512_bf16", "avx512_fp16", "amx_bf16"]),
        ("stream", "yuv420p10le", ["avx512", "avx512", "avx512_fp16", "avx512_fp16"]),
    ],
)
def test_deep_samples_are_computed_precisely_enough_unasked(
    monkeypatch: pytest.MonkeyPatch, variant: str, pixels: str, forms: list[str]
) -> None:
    """On processors that have one more form each, and are faster with it."""
    job = make_job(variant, 2, pixels, (16, 16))
    able = tuple(Kernels(form=form, entry=abi.Form(), is_fast=True) for form in forms_of("x86_64"))
    monkeypatch.setattr(choice, "is_better", lambda *_: True)
    monkeypatch.setattr(choice, "psnr_of_noise", lambda *_: 50.0)
    chosen = []
    for count in range(2, len(able) + 1):
        monkeypatch.setattr(choice, "kernels", lambda: able[:count])  # noqa: B023
        chosen.append(form_for(Precision.AUTO, job).form.name)
    assert chosen == forms
    assert form_for(Precision.BF16, job).form.name == "amx_bf16"
    assert form_for(Precision.FP16, job).form.name == "avx512_fp16"


def test_forms_that_fail_their_trial_are_not_used_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    able = tuple(Kernels(form=form, entry=abi.Form(), is_fast=True) for form in forms_of("x86_64"))
    tried = []

    def is_better(candidate: Kernels, known: Kernels, variant: str) -> bool:
        tried.append((candidate.form.name, known.form.name, variant))
        return candidate.form.name == "avx512_fp16"

    monkeypatch.setattr(choice, "is_better", is_better)
    monkeypatch.setattr(choice, "psnr_of_noise", lambda *_: 50.0)
    monkeypatch.setattr(choice, "kernels", lambda: able)
    assert form_for(Precision.AUTO, make_job("stream", 2, "yuv420p", (16, 16))).form.name == "avx512_fp16"
    assert tried == [("avx512_fp16", "avx512_bf16", "stream"), ("amx_bf16", "avx512_fp16", "stream")]


def test_forms_that_are_too_coarse_for_the_weights_are_not_used_unasked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    able = tuple(Kernels(form=form, entry=abi.Form(), is_fast=True) for form in forms_of("x86_64"))
    job = make_job("realtime", 2, "yuv420p", (16, 16))
    monkeypatch.setattr(choice, "kernels", lambda: able)
    monkeypatch.setattr(choice, "is_better", lambda *_: True)
    monkeypatch.setattr(
        choice, "psnr_of_noise", lambda _, each, __: 20.0 if each.form.precision == "fp16" else 50.0
    )
    assert form_for(Precision.AUTO, job).form.name == "amx_bf16"
    monkeypatch.setattr(choice, "psnr_of_noise", lambda *_: 20.0)
    assert form_for(Precision.AUTO, job).form.name == "avx512"
    assert not caplog.records
    assert form_for(Precision.FP16, job).form.name == "avx512_fp16"
    assert "with these weights fp16 differs from fp32: PSNR of noise 20.0 dB" in caplog.text


def test_a_library_that_is_absent_or_old_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    library.kernels.cache_clear()
    monkeypatch.setattr(library, "is_current", lambda: False)
    try:
        assert "not built" in missing() or "older than their sources" in missing()
        monkeypatch.setattr(library, "library_file", lambda: build.HERE / "nowhere.so")
        assert "not built" in missing()
    finally:
        library.kernels.cache_clear()
