"""The registered model as MLflow loads it: page files, by path or as bytes, to answers. Logged as code, not pickled."""

from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel

from model.reading import PageReading


class Pages(PythonModel):
    """Reads pages with the package that lies in the model version's artifacts."""

    def load_context(self, context):
        """Open the package."""
        self.reading = PageReading.open(Path(context.artifacts["package"]))

    def predict(self, context, model_input, params=None):
        """Read pages.

        Args:
            context: MLflow's; not used here.
            model_input: a page, or a list of pages: each the bytes of an image file, or the path of one.
            params: not used.

        Returns:
            One answer a page, as the server gives it.

        Raises:
            ValueError: a page cannot be read.
        """
        pages = model_input if isinstance(model_input, list | tuple) else [model_input]
        return [self.reading.read(page if isinstance(page, bytes) else Path(page).read_bytes()) for page in pages]


mlflow.models.set_model(Pages())
