"""Whether a text is a unit of UCUM (case-sensitive codes, https://ucum.org/ucum sections 2 and 4).

A list of atoms and a grammar of four rules: libraries for UCUM compute with units and load a parser generator and
a unit registry for that (docs/decisions/units-as-a-table.md); here is only asked whether a code is one.
"""

from __future__ import annotations

import re
from functools import lru_cache

SYSTEM = "http://unitsofmeasure.org"
_PREFIXES = "Y Z E P T G M k h da d c m u n p f a z y Ki Mi Gi Ti"
_METRIC = """
m s g rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb Cel T H lm lx Bq Gy Sv l L ar t bar u eV pc gf kat U cal cal_[15] cal_[20]
cal_m cal_IT cal_th eq osm [iU] [IU] dyn erg P Ky G Mx Oe Gb St sb Lmb ph Ci R RAD REM mho bit By Bd Np B B[SPL] B[V] B[mV] B[uV]
B[10.nV] B[W] B[kW] g% m[H2O] m[Hg] st a Bi [g] [c] [h] [k] [eps_0] [mu_0] [e] [m_e] [m_p] [G] [ly] tex [degRe] [p'diop] pH
"""
_PLAIN = """
10* 10^ [pi] % [ppth] [ppm] [ppb] [pptr] gon deg ' '' min h d a_t a_j a_g wk mo_s mo_j mo_g mo AU atm [lbf_av] bit_s att b
circ sph [in_i] [ft_i] [yd_i] [mi_i] [fth_i] [nmi_i] [kn_i] [sin_i] [sft_i] [syd_i] [cin_i] [cft_i] [cyd_i] [bf_i] [cr_i] [mil_i]
[cml_i] [hd_i] [ft_us] [yd_us] [in_us] [rd_us] [ch_us] [lk_us] [rch_us] [rlk_us] [fth_us] [fur_us] [mi_us] [acr_us] [srd_us]
[smi_us] [sct] [twp] [mil_us] [in_br] [ft_br] [rd_br] [ch_br] [lk_br] [fth_br] [pc_br] [yd_br] [mi_br] [nmi_br] [kn_br] [acr_br]
[gal_us] [bbl_us] [qt_us] [pt_us] [gil_us] [foz_us] [fdr_us] [min_us] [crd_us] [bu_us] [gal_wi] [pk_us] [dqt_us] [dpt_us]
[tbs_us] [tsp_us] [cup_us] [foz_m] [cup_m] [tsp_m] [tbs_m] [gal_br] [pk_br] [bu_br] [qt_br] [pt_br] [gil_br] [foz_br] [fdr_br]
[min_br] [gr] [lb_av] [oz_av] [dr_av] [scwt_av] [lcwt_av] [ston_av] [lton_av] [stone_av] [pwt_tr] [oz_tr] [lb_tr] [sc_ap] [dr_ap]
[oz_ap] [lb_ap] [oz_m] [lne] [pnt] [pca] [pnt_pr] [pca_pr] [pied] [pouce] [ligne] [didot] [cicero] [degF] [degR] [Cal] [Btu]
[Btu_39] [Btu_59] [Btu_60] [Btu_m] [Btu_IT] [Btu_th] [HP] [den] [in_i'H2O] [in_i'Hg] [PRU] [wood'U] [diop] [mesh_i] [Ch] [drp]
[hnsf'U] [MET] [hp'_X] [hp'_C] [hp'_M] [hp'_Q] [hp_X] [hp_C] [hp_M] [hp_Q] [kp_X] [kp_C] [kp_M] [kp_Q] [pH] [S] [HPF] [LPF]
[arb'U] [USP'U] [GPL'U] [MPL'U] [APL'U] [beth'U] [anti'Xa'U] [todd'U] [dye'U] [smgy'U] [bdsk'U] [ka'U] [knk'U] [mclg'U] [tb'U]
[CCID_50] [TCID_50] [EID_50] [PFU] [FFU] [CFU] [IR] [BAU] [AU] [Amb'a'1'U] [PNU] [Lf] [D'ag'U] [FEU] [ELU] [EU] [psi] [smoot]
[car_m] [car_Au] [NTU] [FNU] [m/s2/Hz^0.5] [bf_i]
"""
_ATOMS = frozenset((*_METRIC.split(), *_PLAIN.split(), *(p + m for p in _PREFIXES.split() for m in _METRIC.split())))
_SYMBOL = re.compile(r"(10[*^]|(?:[^\d\s()\[\]{}./+-]|\[[^\[\]]*\])+)([+-]?\d+)?")
_ANNOTATION = re.compile(r"\{[!-z|~]*\}")


@lru_cache(maxsize=1024)
def is_unit(code: str) -> bool:
    """Whether a text is a unit: `mL/h`, `ug/kg/min`, `mm[Hg]`, `{score}`, `10*3/uL`."""
    end = _term(code, 1 if code.startswith("/") else 0)
    return bool(code) and end == len(code)


def _term(code: str, at: int) -> int:
    """Where the term that begins there ends; -1 where there is none."""
    at = _component(code, at)
    while 0 <= at < len(code) and code[at] in "./":
        at = _component(code, at + 1)
    return at


def _component(code: str, at: int) -> int:
    if code[at : at + 1] == "(":
        end = _term(code, at + 1)
        return end + 1 if end >= 0 and code[end : end + 1] == ")" else -1
    symbol = _SYMBOL.match(code, at)
    if symbol:
        if symbol[1] not in _ATOMS:
            return -1
        at = symbol.end()
    else:
        digits = re.compile(r"\d+").match(code, at)
        if digits:
            return digits.end()
        return annotation.end() if (annotation := _ANNOTATION.match(code, at)) else -1
    annotation = _ANNOTATION.match(code, at)
    return annotation.end() if annotation else at
