"""What a site's camera does to its images, as ``capture`` of a catalog entry describes it.

Sites differ in how their images are taken: scanner, camera, stain, lamp. A camera per domain
simulates this for a dataset's images, with a severity set by ``data.capture`` of params.yaml.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedmvp.config import Float, Section

__all__ = ["Camera"]

_Gain = Annotated[Float, Field(gt=0, le=4)]


class Camera(Section):
    """A cheap camera in some light, at severity 1.

    Lengths are in pixels of an image with 64 pixels a side, so that the effect is the same whatever
    the model's input size.
    """

    exposure: Float = Field(default=1.0, gt=0, le=4, description="Factor of all values.")
    cast: tuple[_Gain, _Gain, _Gain] = Field(
        default=(1.0, 1.0, 1.0), description="Factors of red, green and blue: the colour of light."
    )
    noise: Float = Field(
        default=0.0, ge=0, le=1, description="Standard deviation of the grain, of full scale."
    )
    blur: Float = Field(
        default=0.0, ge=0, le=32, description="Standard deviation of a Gaussian blur, in pixels."
    )
    exposure_spread: Float = Field(
        default=0.15, ge=0, lt=1, description="An image's exposure varies by up to this share."
    )
    noise_spread: Float = Field(
        default=0.2, ge=0, lt=1, description="An image's noise varies by up to this share."
    )

    def at(self, severity: float) -> Camera:
        """Return the camera at another severity: 0 changes nothing, 1 is the camera itself.

        Exposure and cast move from 1 towards their values in proportion; noise, blur and both
        spreads from 0. Beyond severity 1 they continue in proportion, so exposure and cast reach 0
        at some point.

        Raises
        ------
        ValueError
            When the severity moves a value out of its range, e.g. exposure to 0 or below.
        """
        red, green, blue = (1 - (1 - gain) * severity for gain in self.cast)
        return Camera(
            exposure=1 - (1 - self.exposure) * severity,
            cast=(red, green, blue),
            noise=self.noise * severity,
            blur=self.blur * severity,
            exposure_spread=self.exposure_spread * severity,
            noise_spread=self.noise_spread * severity,
        )
