import pytest
import torch

from dynprune_lib.errors import DataError
from dynprune_lib.experiments import transformer
from dynprune_lib.experiments.data import load_dataset
from dynprune_lib.experiments.models import build_model
from dynprune_lib.experiments.transformer import PADDING, pretrained_file, word_pieces


@pytest.mark.slow
def test_neither_padding_nor_the_company_of_other_sentences_changes_an_output():
    tokens = torch.randint(1, 18, (150, 16), generator=torch.Generator().manual_seed(0))
    for number, sentence in enumerate(tokens):
        sentence[2 + number * 5 % 14 :] = PADDING
    model = build_model("tiny-bert", tokens, 10, seed=0)
    with torch.no_grad():
        alone = [model(sentence[sentence != PADDING].unsqueeze(0)) for sentence in tokens]
        torch.testing.assert_close(model.train()(tokens), torch.cat(alone))
        torch.testing.assert_close(model.eval()(tokens), torch.cat(alone))


def test_a_digit_is_a_sentence_of_the_brightness_of_its_squares():
    images, sentences = load_dataset("digits").train, load_dataset("digit_tokens").train
    square = images.inputs[5, 2:4, 4:6, 0].float().mean()  # the second from above, the third from the left
    assert sentences.inputs[5, 1 * 4 + 2] == square // 16 + 1
    assert sentences.inputs.shape == (len(images), 16)
    assert torch.equal(sentences.labels, images.labels)


@pytest.mark.slow
def test_the_pretrained_model_knows_what_sentences_mean():
    try:
        tokens = word_pieces(["A cat sleeps.", "A kitten is asleep.", "Stocks fell on Monday."])
    except DataError as error:
        pytest.skip(f"all-MiniLM-L6-v2 is not here: {error}")
    assert tokens[0, :2].tolist() == [101, 1037]  # [CLS] and "a" of BERT's vocabulary
    model = build_model("minilm", tokens, 2, seed=0)
    model.head = torch.nn.Identity()
    with torch.no_grad():
        one, same, other = torch.nn.functional.normalize(model(tokens))
    assert one @ same > 0.7 > 0.3 > one @ other


@pytest.mark.slow
def test_a_pretrained_file_is_whole_or_an_error_that_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(transformer, "PACKAGE", "no_such_package")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"tokenizer.json of .* is missing: run `dynprune data subj --download`"):
        pretrained_file(transformer.TOKENIZER)
    (tmp_path / "tokenizer.json").write_text("cut")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: tmp_path / "tokenizer.json")
    with pytest.raises(DataError, match=r"tokenizer.json is damaged .*: remove it, then download it again"):
        pretrained_file(transformer.TOKENIZER)
