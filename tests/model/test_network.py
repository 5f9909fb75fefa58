"""The network: shapes, switches, and that the image alone answers at inference."""

import dataclasses

import pytest
import torch

from model.attention import Attention
from model.backbones import sine_positions
from model.network import VIEWS, Head, PageReader, Tokens, VizECGNet, ink
from model.params import PageParams
from tests.model.tiny import TINY


def batch(size=3, *, height=64, width=96, samples=250):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(size, 1, height, width, generator=generator),
            torch.randn(size, 12, samples, generator=generator))


@pytest.mark.parametrize("switches", [
    {}, {"smam": False}, {"cmam": False}, {"cmam": False, "signal_stream": False},
    {"cmam": False, "signal_stream": False, "smam": False}])
def test_every_switch_gives_the_predictions_it_promises(switches):
    params = dataclasses.replace(TINY, **switches)
    got = VizECGNet(params, classes=4)(*batch())
    assert got.image.shape == (3, 4)
    assert (got.signal is not None) == params.signal_stream
    assert (got.image_given_signal is not None) == params.cmam == (got.signal_given_image is not None)


def test_the_image_stream_answers_the_same_with_and_without_the_signal():
    net = VizECGNet(TINY, classes=4).eval()
    image, signal = batch()
    assert torch.equal(net(image).image, net(image, signal).image)
    assert net(image).signal is None


@pytest.mark.parametrize("places", [{"smam_place": "third_stage"}, {"cmam_place": "before_smam"}])
def test_the_modules_may_sit_elsewhere_and_change_what_they_touch(places):
    image, signal = batch()
    torch.manual_seed(5)
    usual = VizECGNet(TINY, classes=4).eval()
    torch.manual_seed(5)
    net = VizECGNet(dataclasses.replace(TINY, **places), classes=4).eval()
    net.load_state_dict(usual.state_dict())
    before, after = usual(image, signal), net(image, signal)
    assert torch.equal(net(image).image, after.image)
    assert torch.equal(before.image, after.image) == ("cmam_place" in places)
    assert not torch.allclose(before.image_given_signal, after.image_given_signal, atol=1e-5)
    sum(z.sum() for z in after.logits()).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_features_of_the_third_stage_must_fit_the_heads():
    with pytest.raises(ValueError, match="model.smam_place.*image_widths"):
        dataclasses.replace(TINY, smam_place="third_stage", image_widths=(8, 8, 15, 16))
    with pytest.raises(ValueError, match="model.cmam_place: before_smam needs model.smam_place tokens"):
        dataclasses.replace(TINY, smam_place="third_stage", cmam_place="before_smam")


def test_a_pool_grid_tells_parts_of_the_page_apart():
    tokens = torch.randn(2, 4 * 6, 16)
    plain, fine = Head(16, 3, 0.0, (1, 1)), Head(16, 3, 0.0, (2, 3))
    turned = tokens.flip(1)
    assert torch.allclose(plain(Tokens(tokens, (4, 6))), plain(Tokens(turned, (4, 6))), atol=1e-6)
    assert not torch.allclose(fine(Tokens(tokens, (4, 6))), fine(Tokens(turned, (4, 6))), atol=1e-3)
    params = dataclasses.replace(TINY, pool_grid=(2, 4))
    assert VizECGNet(params, classes=4)(*batch()).image_given_signal.shape == (3, 4)


def test_lead_positions_tell_the_layout_apart_and_need_it():
    params, (image, _) = dataclasses.replace(TINY, lead_positions=True), batch(width=128)
    nets = [VizECGNet(params, classes=4, page=PageParams(layout=layout, height=64, width=128, px_per_mm=0.5)).eval()
            for layout in ("3x4", "6x2")]
    nets[1].load_state_dict(nets[0].state_dict())
    assert torch.equal(nets[0](image).image, nets[1](image).image)
    codes = torch.randn(nets[0].image.leads.code.weight.shape)
    for net in nets:
        net.image.leads.code.weight.data.copy_(codes)
    assert not torch.allclose(nets[0](image).image, nets[1](image).image, atol=1e-4)
    assert nets[0](image[..., :32, :64]).image.shape == (3, 4)
    with pytest.raises(ValueError, match="model.lead_positions"):
        VizECGNet(params, classes=4)


def test_views_are_the_mean_over_shifted_pages():
    params = dataclasses.replace(TINY, views=5)
    net = VizECGNet(params, classes=4).eval()
    image = torch.zeros(2, 1, 64, 96)
    image[..., 8:-8, 8:-8] = torch.rand(2, 1, 48, 80)
    shifted = [net(image.roll((down, right), (2, 3))).image for right, down in VIEWS]
    torch.testing.assert_close(net.page_path()(image), torch.stack(shifted).mean(dim=0))
    assert len({logits[0, 0].item() for logits in shifted}) == 5


def test_the_signal_changes_what_cmam_says_of_the_image():
    net = VizECGNet(TINY, classes=4).eval()
    image, signal = batch()
    assert not torch.allclose(net(image, signal).image_given_signal, net(image, -signal).image_given_signal)


def test_the_page_reader_is_the_image_stream_on_grey_pages():
    net = VizECGNet(TINY, classes=4).eval()
    pages = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    expected = torch.sigmoid(net(ink(pages)).image)
    torch.testing.assert_close(PageReader(net)(pages), expected)
    assert ink(torch.tensor([[[0, 255]]], dtype=torch.uint8)).tolist() == [[[[1.0, 0.0]]]]


def test_attention_is_torchs_own():
    ours, theirs = Attention(16, heads=2), torch.nn.MultiheadAttention(16, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x, context = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    torch.testing.assert_close(ours(x, context), theirs(x, context, context)[0])


def test_positions_differ_and_agree_between_resolutions():
    codes = sine_positions(9, 16)
    assert torch.pdist(codes).min() > 0.1
    torch.testing.assert_close(sine_positions(17, 16)[::2], codes)


def test_heads_start_at_the_base_rate():
    net = VizECGNet(TINY, classes=2)
    net.start_from_prevalence(torch.tensor([0.5, 0.1]))
    assert torch.sigmoid(net.head_image.linear.bias).tolist() == pytest.approx([0.5, 0.1])
