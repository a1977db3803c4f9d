"""Materials of calorimeters, and the effective medium that layers of two of them make."""

from __future__ import annotations

from dataclasses import dataclass

from hepml_root.errors import SettingError, unknown

# Scale of multiple scattering in the definition of the Molière radius [MeV].
_SCATTERING = 21.2


@dataclass(frozen=True)
class Material:
    """A material, as showers see it.

    Critical energy and Molière radius are those that the parametrisation of showers was fitted with:

        E_c = 2.66 MeV · (X0 Z / A)^1.1,   R_M = X0 · 21.2 MeV / E_c     (X0 and R_M in g/cm²)

    Attributes
    ----------
    name:
        Name of the material.
    atomic_number, mass_number:
        Z and A; of a compound, their mean weighted by mass.
    density:
        [g/cm³]
    radiation_length:
        X0 [g/cm²].
    stopping_power:
        Energy loss of a minimum ionising particle [MeV cm²/g].

    Reference
    ---------
    X0 and energy loss: Particle Data Group, Atomic and Nuclear Properties of Materials. Critical energy:
    Grindhammer and Peters, hep-ex/0001020.

    Example
    -------
    >>> tungsten = material("tungsten")
    >>> round(tungsten.critical_energy, 1), round(tungsten.moliere_radius, 1)
    (8.0, 17.9)
    """

    name: str
    atomic_number: float
    mass_number: float
    density: float
    radiation_length: float
    stopping_power: float

    @property
    def critical_energy(self) -> float:
        """E_c [MeV]."""
        return 2.66 * (self.radiation_length * self.atomic_number / self.mass_number) ** 1.1

    @property
    def moliere_radius(self) -> float:
        """R_M [g/cm²]."""
        return self.radiation_length * _SCATTERING / self.critical_energy


MATERIALS = {
    one.name: one
    for one in (
        Material("silicon", 14, 28.086, 2.329, 21.82, 1.664),
        Material("liquid argon", 18, 39.948, 1.396, 19.55, 1.508),
        Material("scintillator", 5.575, 11.085, 1.032, 43.90, 1.956),
        Material("iron", 26, 55.845, 7.874, 13.84, 1.451),
        Material("copper", 29, 63.546, 8.96, 12.86, 1.403),
        Material("tungsten", 74, 183.84, 19.30, 6.76, 1.145),
        Material("lead", 82, 207.2, 11.35, 6.37, 1.122),
        Material("lead tungstate", 68.36, 170.87, 8.30, 7.39, 1.229),
    )
}


def material(name: str) -> Material:
    """Return the material of that name.

    Raises
    ------
    SettingError
        There is none; the message has the nearest ones.
    """
    if name not in MATERIALS:
        raise SettingError(unknown("material", name, MATERIALS))
    return MATERIALS[name]


@dataclass(frozen=True)
class Medium:
    """What a stack of passive and active plates is to a shower: the means of hep-ex/0001020, section 4.

    With the shares by mass w_i = ρ_i d_i / Σ ρ_j d_j of the plates (thickness d, density ρ):

        Z = Σ w_i Z_i,   1/X0 = Σ w_i / X0_i,   E_c = X0 Σ w_i E_c,i / X0_i,
        R_M = X0 · 21.2 MeV / E_c,   F_S = X0 / (d_a + d_p),   ê = e/mip = 1 / (1 + 0.007 (Z_p - Z_a))

    Attributes
    ----------
    atomic_number:
        Z.
    density:
        Of the mixture [g/cm³].
    radiation_length, moliere_radius:
        X0 and R_M [mm].
    critical_energy:
        E_c [MeV].
    sampling_frequency:
        F_S, the number of pairs of plates in one radiation length; infinite for a homogeneous medium.
    electron_to_mip:
        ê; 1 for a homogeneous medium.
    mip_fraction:
        Share of its energy loss that a minimum ionising particle leaves in the active plates.

    Example
    -------
    >>> stack = Medium.of("tungsten", 2.1, "silicon", 0.5)
    >>> round(stack.radiation_length, 2), round(stack.moliere_radius, 1), round(stack.sampling_fraction, 4)
    (4.3, 11.0, 0.0282)
    """

    atomic_number: float
    density: float
    radiation_length: float
    moliere_radius: float
    critical_energy: float
    sampling_frequency: float
    electron_to_mip: float
    mip_fraction: float

    @classmethod
    def of(cls, passive: str | None, passive_mm: float, active: str, active_mm: float) -> Medium:
        """Return the medium of plates of two materials [mm], or with ``passive=None`` of one material.

        Raises
        ------
        SettingError
            A material does not exist, or a thickness is not above 0.
        """
        plates = [(material(active), active_mm)]
        if passive is not None:
            plates.append((material(passive), passive_mm))
        for one, thickness in plates:
            if not thickness > 0:
                raise SettingError(
                    f"a plate of {one.name} is {thickness} mm thick: a thickness must be above 0."
                )
        masses = [one.density * thickness for one, thickness in plates]
        shares = [mass / sum(masses) for mass in masses]
        pairs = [(share, one) for share, (one, _) in zip(shares, plates, strict=True)]
        depth = sum(thickness for _, thickness in plates)
        density = sum(masses) / depth
        x0 = 1 / sum(share / one.radiation_length for share, one in pairs)
        lost = sum(share * one.critical_energy / one.radiation_length for share, one in pairs)
        losses = [one.stopping_power * mass for (one, _), mass in zip(plates, masses, strict=True)]
        sampling = len(plates) == 2
        steps = plates[1][0].atomic_number - plates[0][0].atomic_number if sampling else 0.0
        x0_mm = 10 * x0 / density
        return cls(
            atomic_number=sum(share * one.atomic_number for share, one in pairs),
            density=density,
            radiation_length=x0_mm,
            moliere_radius=10 * _SCATTERING / lost / density,
            critical_energy=x0 * lost,
            sampling_frequency=x0_mm / depth if sampling else float("inf"),
            electron_to_mip=1 / (1 + 0.007 * steps),
            mip_fraction=losses[0] / sum(losses),
        )

    @property
    def sampling_fraction(self) -> float:
        """Share of the energy of a shower that is deposited in the active plates: ê times that of a mip."""
        return self.electron_to_mip * self.mip_fraction
